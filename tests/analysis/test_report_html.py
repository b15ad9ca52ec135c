"""A comparison as a page that needs nothing else: its numbers, its charts, and names from strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from edgebench import compare
from edgebench.analysis import formatting
from edgebench.analysis.report import html, sections
from tests.support.comparisons import COMPARISON, fixed_records
from tests.support.records import failed, make_artifact, make_record

HOSTILE = '<script>alert("x")</script><img src="http://evil.invalid/x.png">-onnx-int8'


class Page(HTMLParser):
    """What a browser sees: cells of the table, scripts, and everything that would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self.headings: list[str] = []
        self.charts = 0
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        named = [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset", "action")]
        self.fetched += [value for value in named if not value.startswith("#")]
        self.charts += ("class", "chart") in attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and ("scope", "col") not in attrs:
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")
        elif tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
            return
        self.text += data
        if self._inside == "h2":
            self.headings[-1] += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page() -> Page:
    hostile = make_record(make_artifact(HOSTILE, accuracy=0.5), target="desk", job="job-9")
    return Page(html.render(compare.compare([*fixed_records(), hostile])))


def specs(page: Page) -> Iterator[dict[str, Any]]:
    """The Vega-Lite specification of each chart in the page."""
    script = page.scripts[-1]
    listed = json.JSONDecoder().raw_decode(script, script.index("[", script.index("const specs")))[0]
    assert len(listed) == page.charts
    yield from listed


def figures() -> list[sections.Figure]:
    return [figure for section in sections.of(COMPARISON) for figure in section.figures]


def labels(spec: Any) -> set[str]:
    """The artifacts in the data of a chart, wherever in the specification the data stand."""
    if isinstance(spec, (list, tuple)):
        return {label for one in spec for label in labels(one)}
    if not isinstance(spec, dict):
        return set()
    own = {spec["artifact"]} if isinstance(spec.get("artifact"), str) else set()
    return own | {label for one in spec.values() for label in labels(one)}


def test_the_page_holds_each_record_with_its_numbers(page: Page) -> None:
    rows = [["".join(cell.split()) for cell in row] for row in page.rows if row][:8]
    for cells, row in zip(rows, COMPARISON.rows, strict=False):
        assert row.record.artifact.name in cells[0]
        assert row.record.target.name in cells[1] and ("emulatedclock" in cells[1]) is row.record.target.emulated
        assert cells[2] == row.verdict.level
        assert cells[3].startswith(formatting.estimate_parts(row.p50_ns)[0].replace(" ", ""))
        assert cells[7] == formatting.ratio(row).replace(" ", "")


def test_the_page_says_reasons_and_conditions(page: Page) -> None:
    shown = " ".join(page.text.split())
    assert "kept 0.80 processors busy" in shown and "SIGFPE during 'load'" in shown
    assert "Cortex-A72" in shown and "kernel 6.12" in shown and "pi-emulated is emulated" in shown


def test_the_page_fetches_nothing(page: Page) -> None:
    assert page.fetched == []
    assert not {"link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
    assert page.tags.count("script") == 2


def test_a_hostile_name_stays_text(page: Page) -> None:
    assert HOSTILE in page.text  # the parser undid the escaping: the name is shown as it is
    assert "img" not in page.tags
    assert not any("alert(" in script for script in page.scripts[:-1])


def test_a_hostile_name_does_not_end_the_script_with_the_charts(page: Page) -> None:
    """A parser ends a script at the first `</script`, whatever JavaScript thinks of it."""
    assert "<" not in page.scripts[-1].replace("<=", "")
    shown = [label for spec in specs(page) for label in labels(spec)]
    assert any(label.startswith(HOSTILE) for label in shown)


def test_emulated_and_real_times_are_never_in_one_chart() -> None:
    timed = [figure for figure in figures() if figure.name.startswith(("latency", "curves", "distributions"))]
    for figure in timed:
        assert {label.endswith("pi-emulated") for label in labels(figure.panels)} == {"emulated" in figure.title}
    assert {"emulated" in figure.title for figure in timed} == {True, False}


def test_the_charts_show_every_record_that_was_timed() -> None:
    timed = {f"{row.record.artifact.name} · {row.record.target.name}" for row in COMPARISON.rows if row.p50_ns}
    shown = {label for figure in figures() if figure.name.startswith("latency") for label in labels(figure.panels)}
    assert timed <= shown


def test_records_without_times_make_a_page_too() -> None:
    found = sections.of(compare.compare([failed()]))
    assert [figure.name for section in found for figure in section.figures] == ["sizes"]
