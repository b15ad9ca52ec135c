"""The figures of a report: what they show, in words too, as files, and in a browser of any width and scheme."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgebench import compare
from edgebench.analysis import colours, figure_files
from edgebench.analysis.report import html, sections
from edgebench.analysis.report.sections import Figure, PageSection
from edgebench.errors import UserError
from tests.conftest import run_cli
from tests.support.browser import Browser, browser, needs_chromium
from tests.support.comparisons import COMPARISON
from tests.support.records import failed, make_record, save_all
from tests.support.rich_records import FP32, INT8, PRUNED, rich_records

RICH = compare.compare(rich_records())
NAMES = {
    "targets", "ratios-gpu", "ratios-pi", "latency", "distributions", "curves", "pareto-pi", "sustained", "memory",
    "memory-gpu", "energy", "sizes", f"layers-pi-onnxruntime-{INT8}",
}  # fmt: skip


@pytest.fixture(scope="module")
def shown() -> list[PageSection]:
    return sections.of(RICH)


@pytest.fixture(scope="module")
def figures(shown: list[PageSection]) -> dict[str, Figure]:
    return {figure.name: figure for section in shown for figure in section.figures}


@pytest.fixture(scope="module")
def page() -> str:
    return html.render(RICH)


def data(figure: Figure, panel: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = figure.panels[panel]["datasets"]["rows"]
    return found


# ------------------------------------------------------------------ what they show


def test_everything_that_was_measured_has_its_figure(figures: dict[str, Figure]) -> None:
    assert set(figures) == NAMES


def test_what_was_not_measured_has_none() -> None:
    plain = make_record(FP32, memory=None)
    assert {one.name for section in sections.of(compare.compare([plain])) for one in section.figures} == {
        "latency", "distributions", "curves", "sizes",
    }  # fmt: skip
    assert not any(section.figures for section in sections.of(compare.compare([])))
    assert {one.name for section in sections.of(compare.compare([failed()])) for one in section.figures} == {"sizes"}


def test_each_says_its_numbers_in_a_sentence(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert re.search(r"\d", figure.said) and figure.said.endswith("."), name
    assert f"{FP32} · desk 50.0 µs (49.9-50.1)" in figures["latency"].said
    assert f"{INT8} 0.44x" in figures["ratios-pi"].said or f"{INT8} 8.0" in figures["ratios-pi"].said
    assert "500 MB by its driver, 40.0 MB by the allocator, at most" in figures["memory-gpu"].said
    assert "at most 75 °C" in figures["sustained"].said


def test_names_of_ratios_have_their_numbers_on_a_telephone_too() -> None:
    """About 50 characters fit; the shape of a mark says "not resolved"."""
    records = [make_record(FP32), make_record(INT8, job="another")]
    made = [one for section in sections.of(compare.compare(records)) for one in section.figures]
    (point,) = data(next(one for one in made if one.name.startswith("ratios")))
    assert point["outcome"] == "not resolved" and " % to " in point["artifact"] and "resolved" not in point["artifact"]


def test_outcomes_differ_in_shape_as_well_as_colour(figures: dict[str, Figure]) -> None:
    points = figures["ratios-pi"].panels[0]["layer"][-1]["encoding"]
    assert len(set(points["shape"]["scale"]["range"])) == 3
    assert points["shape"]["scale"]["domain"] == points["color"]["scale"]["domain"]


def test_dominated_files_are_said_and_marked(figures: dict[str, Figure]) -> None:
    standing = {point["artifact"]: point["standing"] for point in data(figures["pareto-pi"])}
    assert standing == {FP32: "on the front", INT8: "on the front", PRUNED: "dominated"}
    assert "1 of 3 are dominated" in figures["pareto-pi"].said
    assert len(figures["pareto-pi"].panels) == 2  # energy is estimated, so no file is better by it


def test_side_by_side_names_what_each_target_is(shown: list[PageSection]) -> None:
    (table,) = next(section for section in shown if section.heading == "Side by side").tables
    assert table.headings[2:] == ("desk (desktop CPU)", "gpu (desktop GPU)", "pi (edge device)")
    assert table.rows[0][:2] == ("net", "fastest") and INT8 in table.rows[0][4]
    assert any(cells[:2] == (FP32, "memory") for cells in table.rows)


def test_a_sustained_record_shows_heat_and_clock(figures: dict[str, Figure]) -> None:
    assert [next(iter(set(data(figures["sustained"], n)[0]) - {"artifact", "s"})) for n in range(3)] == [
        "us", "celsius", "ghz",
    ]  # fmt: skip


def test_two_records_of_one_name_are_two_rows() -> None:
    twice = [make_record(FP32, job=job, created=f"2026112{n}T100000Z") for n, job in enumerate(("a", "b"))]
    found = {one.name: one for section in sections.of(compare.compare(twice)) for one in section.figures}
    for name in ("latency", "distributions", "curves", "memory"):
        assert len({point["artifact"] for point in data(found[name])}) == 2, name


def test_single_latencies_are_values_that_were_measured(figures: dict[str, Figure]) -> None:
    measured = {ns / 1e3 for round_ in RICH.rows[0].record.rounds for ns in round_.values_ns}
    dots = [one for one in data(figures["distributions"]) if one["artifact"].endswith("desk") and "us" in one]
    assert 50 < len(dots) <= 102 and {one["us"] for one in dots} <= {float(f"{us:.5g}") for us in measured}
    assert {min(measured), max(measured)} <= {one["us"] for one in dots}


def test_a_wall_of_rows_is_cut_and_said() -> None:
    many = [make_record(f"n{number:02d}-onnx-fp32") for number in range(60)]
    found = {one.name: one for section in sections.of(compare.compare(many)) for one in section.figures}
    assert len(data(found["latency"])) == 40 and "first 40 of 60; the table has all" in found["latency"].said


# ------------------------------------------------------------------ files


def test_every_figure_is_written_in_three_formats(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    save_all(tmp_path / "results", rich_records())
    done = run_cli("compare", "--figures", "figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "figures").iterdir())
    assert {path.name for path in written} == {f"{name}.{kind}" for name in NAMES for kind in ("svg", "png", "pdf")}
    assert all(f"figures/{path.name}" in done.stdout.split() for path in written)
    begins = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for path in written:
        assert path.read_bytes().startswith(begins[path.suffix]), path
        if path.suffix == ".svg":
            assert not re.search("NaN|undefined|var\\(", path.read_text()), path


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken.*cannot be written.*Give another path"):
        figure_files.check(tmp_path / "taken")
    with pytest.raises(UserError, match="nothing to draw"):
        figure_files.write(compare.compare([]), tmp_path / "none")
    assert not (tmp_path / "none").exists()


# ------------------------------------------------------------------ accessible


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [colours.LIGHT, colours.DARK], ids=["light", "dark"])
def test_colours_contrast_as_wcag_asks(scheme: colours.ColourScheme) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    grounds = [scheme.page[name] for name in ("paper", "ground", "marked")]
    for text in (scheme.ink, scheme.soft, scheme.marks[0]):  # links have the first mark's colour
        assert all(contrast(text, ground) >= 4.5 for ground in grounds), text
    assert all(contrast("#ffffff", badge) >= 4.5 for badge in colours.BADGES.values())
    assert all(contrast(mark, scheme.page["paper"]) >= 3 for mark in (*scheme.marks, *scheme.outcomes))


class Elements(HTMLParser):
    """Every element as (tag, attributes), and the text of those with an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.captions = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.captions += tag == "caption"


def test_tables_and_charts_have_their_semantics(page: str) -> None:
    elements = Elements(page.partition("<script>")[0])
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    tables = [tag for tag, _ in elements.found if tag == "table"]
    assert len(tables) == elements.captions > 3
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in elements.found if tag == "th")
    charts = [attributes for _, attributes in elements.found if attributes.get("class") == "chart"]
    assert charts and all(one["role"] == "img" and one["aria-labelledby"] in ids for one in charts)
    scrolling = [attributes for _, attributes in elements.found if attributes.get("class") == "scroll"]
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in scrolling)
    links = [attributes["href"] for tag, attributes in elements.found if tag == "a"]
    assert links and all(link and link[1:] in ids for link in links)


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def opened(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = tmp_path_factory.mktemp("page") / "report.html"
    listening = "<script>var said = []; for (const kind of ['log', 'info', 'warn', 'error', 'debug']) console[kind] = "
    listening += "(...words) => said.push(words.join(' ')); onerror = word => said.push(String(word))</script>"
    path.write_text(page.replace("<head>", f"<head>{listening}", 1), encoding="utf-8")
    with browser() as found:
        found.open(path.as_uri())
        yield found


def drawn(opened: Browser) -> None:
    for _ in range(300):
        if opened.run(
            "document.readyState === 'complete' && typeof specs !== 'undefined' && "
            "document.querySelectorAll('.chart svg').length === specs.length"
        ):
            return
        time.sleep(0.1)
    raise AssertionError("the charts were not drawn")


@needs_chromium
def test_a_page_fits_every_width_and_says_nothing_on_the_console(opened: Browser) -> None:
    for width in (1400, 390):
        opened.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
        )
        opened.run("document.documentElement.id = 'before'")
        opened.reload()
        while opened.run("document.documentElement?.id === 'before'"):
            time.sleep(0.05)
        drawn(opened)
        assert opened.run("document.documentElement.scrollWidth") <= width
        right = "[...document.querySelectorAll('.chart svg')].map(one => one.getBoundingClientRect().right)"
        assert opened.run(f"Math.max(...{right})") <= width
        assert opened.run("said.join('|')") == ""
        first = opened.run("document.querySelector('.answer p').getBoundingClientRect().bottom")
        assert first < 844 and re.search(r"\d+ (µs|ms)", opened.run("document.querySelector('.answer p').textContent"))


@needs_chromium
def test_charts_follow_the_reader_s_scheme(opened: Browser) -> None:
    drawn(opened)
    inks = []
    for scheme in ("light", "dark"):
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        inks.append(opened.run("getComputedStyle(document.querySelector('.chart svg text')).fill"))
        bar = "[...document.querySelectorAll('path')].find(one => one.getAttribute('fill') === 'var(--mark0)')"
        bar = f"getComputedStyle({bar}).fill"
        inks.append(opened.run(bar))
    assert len(set(inks)) == 4


def test_emulated_targets_stand_apart() -> None:
    found = {one.name for section in sections.of(COMPARISON) for one in section.figures}
    assert {"latency", "latency-emulated", "ratios-pi-emulated"} <= found
