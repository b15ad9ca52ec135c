"""The figures of a report as files, for papers and slides: what the HTML report shows, in the light scheme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.files import output

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison
    from edgebench.analysis.report.sections import Figure

_PNG_SCALE = 2


def check(folder: Path) -> None:
    """Before the work. Raises UserError if nothing could be written there."""
    output.make_folder(folder)
    output.check(folder / "figure.svg")


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Every figure in every format. All are drawn before the first is written, each whole or not at all.

    Raises UserError if there is nothing to draw.
    """
    from edgebench.analysis.report import sections

    figures = [figure for section in sections.of(comparison) for figure in section.figures]
    if not figures:
        raise UserError(str(folder), "nothing to draw in these records", "Measure something first: edgebench deploy")
    drawn = {folder / name: content for figure in figures for name, content in _drawn(figure)}
    output.make_folder(folder)
    for path, content in drawn.items():
        output.write(path, content)
    return list(drawn)


def _drawn(figure: Figure) -> Iterator[tuple[str, str | bytes]]:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(_specification(figure))
    yield f"{figure.name}.svg", svg
    yield f"{figure.name}.png", vl_convert.svg_to_png(svg, scale=_PNG_SCALE)
    yield f"{figure.name}.pdf", vl_convert.svg_to_pdf(svg)


def _specification(figure: Figure) -> dict[str, Any]:
    from edgebench.analysis import chart_style, colours

    panels: list[Any] = []
    datasets: dict[str, Any] = {}
    for number, panel in enumerate(figure.panels):
        datasets |= {f"{name}-{number}": data for name, data in panel["datasets"].items()}
        panels.append(_renamed({key: value for key, value in panel.items() if key != "datasets"}, f"-{number}"))
    theme = chart_style.theme(colours.LIGHT) | {"background": colours.LIGHT.page["paper"], "padding": 12}
    alone = {"scale": dict.fromkeys(("color", "shape", "strokeDash"), "independent")}
    about = {"title": figure.title, "description": figure.said}
    return {**about, "vconcat": panels, "resolve": alone, "datasets": datasets, "config": theme}


def _renamed(part: Any, suffix: str) -> Any:
    """With the suffix behind the name of all data: each panel has its own."""
    if isinstance(part, list):
        return [_renamed(one, suffix) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: {**value, "name": value["name"] + suffix} if key == "data" else _renamed(value, suffix)
        for key, value in part.items()
    }
