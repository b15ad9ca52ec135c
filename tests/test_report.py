"""A comparison in the forms that people read. RENEW_GOLDENS=1 writes the golden texts in tests/data anew."""

from __future__ import annotations

import csv as csv_
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from edgebench import compare, report, stats
from edgebench.compare import Comparison
from edgebench.errors import UnknownName, UserError
from edgebench.record import Load, Outcome, Record, Runtime
from edgebench.report import _format, csv, html, markdown
from edgebench.report import _terminal as terminal
from edgebench.report._charts import charts
from tests.conftest import DATA
from tests.records import FACTS, failed, make_artifact, make_reading, make_record, make_rounds

HOSTILE = '<script>alert("x")</script><img src="http://evil.invalid/x.png">-onnx-int8'


def fixed_records() -> list[Record]:
    """Two real targets and an emulated one; clean, suspect, invalid and failed records; energy and none."""
    slow_clock = msgspec.structs.replace(FACTS, governor="ondemand")
    busy = Load(wall_s=10.0, own_s=10.0, busy_s=18.0, steal_s=0.0)
    return [
        make_record(make_artifact("ultralight-onnx-fp32", accuracy=0.9), target="desk", energy=(make_reading(),)),
        make_record(
            make_artifact("ultralight-onnx-int8", accuracy=0.885),
            target="desk",
            p50_ns=30_000.0,
            facts=slow_clock,
            load=busy,
        ),
        failed("ultralight-tflite-int8", target="desk"),
        make_record(
            make_artifact("ultralight-onnx-fp32", accuracy=0.9), target="pi", job="job-2", p50_ns=900_000.0, threads=4
        ),
        make_record(
            "other-tflite-fp32",
            target="pi",
            job="job-2",
            golden=None,
            rounds=make_rounds([2_500_000.0, 2_600_000.0, 2_400_000.0]),
            outcome=Outcome("budget", reason="not within +/-3.0% after 3 s"),
        ),
        make_record("ultralight-onnx-fp32", target="pi-emulated", emulated=True, job="job-3", p50_ns=9e6),
        make_record("ultralight-onnx-int8", target="pi-emulated", emulated=True, job="job-3", p50_ns=4e6),
    ]


COMPARISON = compare.compare(fixed_records())


def on_terminal(comparison: Comparison, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False, color_system=None)
    terminal.show(comparison, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def energy_of(provenance: Any) -> Comparison:
    return compare.compare([make_record(energy=(make_reading(meter="hwmon", provenance=provenance),))])


def is_golden(text: str, name: str) -> bool:
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    path = DATA / name
    if os.environ.get("RENEW_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    return text == path.read_text(encoding="utf-8")


# ------------------------------------------------------------------ terminal


def test_the_terminal_shows_what_it_always_showed() -> None:
    assert is_golden(on_terminal(COMPARISON), "comparison-80.txt")


def wide() -> Comparison:
    runtime = Runtime("tflite-runtime", {"version": "2.14.0.post20261120"})
    both = (make_reading(), make_reading(meter="tegra", scope="rail:whole_board_with_carrier"))
    return compare.compare(
        [
            make_record("a-very-long-name-of-a-model-that-somebody-chose-tflite-fp32", runtime=runtime, energy=both),
            make_record("short-tflite-int8", p50_ns=7.77e9, runtime=runtime),
            make_record("b" * 100 + "-tflite-int8", p50_ns=123.0, facts=msgspec.structs.replace(FACTS, model="M" * 90)),
        ]
    )


@pytest.mark.parametrize("comparison", [COMPARISON, wide()], ids=["usual", "wide"])
def test_no_line_is_wider_than_the_terminal(comparison: Comparison) -> None:
    for width in (80, 100, 200):
        assert max(map(len, on_terminal(comparison, width).splitlines())) <= width


def test_no_number_is_cut_off_at_80_columns() -> None:
    assert "…" not in on_terminal(COMPARISON)
    shown = "".join(on_terminal(COMPARISON).split())
    for row in COMPARISON.rows:
        for estimate in (row.p50_ns, row.p90_ns, row.p99_ns):
            assert _format.estimate(estimate).partition(" ±")[0].replace(" ", "") in shown


def test_every_reason_and_difference_is_said_with_its_rows() -> None:
    shown = " ".join(on_terminal(COMPARISON).split())
    assert "(3) invalid: failed in check: SIGFPE during 'load'" in shown
    assert "(2) suspect: other programs kept 0.80 processors busy" in shown
    assert "(2) note: not like the baseline: governor: ondemand, baseline performance" in shown
    assert "(1) note: not like the baseline: threads: 4, baseline 1" in shown
    assert "pi-emulated is emulated" in shown and "EMULATED" in shown
    assert "outputs on pi are bit-identical to desk" in shown


@pytest.mark.parametrize("word", ["[red]", "[/]", "[/red]", "[link=http://x]"])
def test_names_from_files_are_shown_as_they_are(word: str) -> None:
    facts = msgspec.structs.replace(FACTS, model=f"Board {word}")
    record = make_record(make_artifact(f"net{word}-onnx-fp32"), target=f"t{word}", facts=facts, golden=None)
    shown = on_terminal(compare.compare([record]), width=200)
    assert f"net{word}-onnx-fp32" in shown and f"Board {word}" in shown and f"t{word}" in shown


@pytest.mark.parametrize("version", ["1.0 [custom]", "[/]"])
def test_a_version_from_a_device_is_shown_as_it_is(version: str) -> None:
    record = make_record(runtime=Runtime("onnxruntime", {"version": version}))
    assert version in on_terminal(compare.compare([record]), width=200)


# ------------------------------------------------------------------ markdown


def test_markdown_is_what_it_always_was() -> None:
    assert is_golden(markdown.render(COMPARISON), "comparison.md")


def test_markdown_has_a_line_of_equal_cells_for_each_record() -> None:
    lines = [line for line in markdown.render(COMPARISON).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(COMPARISON.rows)
    assert len({line.count("|") for line in lines}) == 1


def test_a_bar_in_a_name_does_not_make_a_cell() -> None:
    record = make_record(make_artifact("a|b-onnx-fp32"))
    lines = markdown.render(compare.compare([record])).splitlines()
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == len(re.findall(r"\|", lines[0]))


# ------------------------------------------------------------------ csv


def parsed(comparison: Comparison) -> list[dict[str, str]]:
    return list(csv_.DictReader(io.StringIO(csv.render(comparison))))


def test_csv_parses_back_to_the_values_in_si_units() -> None:
    lines = parsed(COMPARISON)
    assert [line["artifact"] for line in lines] == [row.record.artifact.name for row in COMPARISON.rows]
    first = COMPARISON.rows[0]
    assert first.p50_ns is not None and first.p50_ns.low is not None
    assert float(lines[0]["p50_s"]) == pytest.approx(first.p50_ns.value / 1e9)
    assert float(lines[0]["p50_low_s"]) == pytest.approx(first.p50_ns.low / 1e9)
    assert float(lines[0]["load_s"]) == 0.003 and float(lines[0]["first_inference_s"]) == 0.0002
    assert float(lines[0]["throughput_hz"]) == pytest.approx(20_000, rel=1e-3)
    assert (lines[0]["size_bytes"], lines[0]["memory_high_water_bytes"]) == ("400000", "30000000")
    assert float(lines[1]["ratio_to_baseline"]) == pytest.approx(0.6, rel=1e-3)
    assert float(lines[1]["ratio_low"]) <= float(lines[1]["ratio_to_baseline"]) <= float(lines[1]["ratio_high"])
    assert lines[0]["accuracy"] == "0.9" and lines[0]["verdict"] == "valid"
    assert [line["emulated"] for line in lines] == ["False"] * 5 + ["True"] * 2


def test_csv_is_empty_where_nothing_was_measured() -> None:
    line = parsed(COMPARISON)[2]
    unmeasured = ("p50_s", "p99_high_s", "throughput_hz", "ratio_low", "load_s", "accuracy", "energy", "macs")
    assert {line[column] for column in (*unmeasured, "memory_high_water_bytes")} == {""}
    assert line["verdict"] == "invalid" and "SIGFPE" in line["reasons"] and line["no_energy"]


def test_every_measured_column_names_its_unit() -> None:
    units = ("_s", "_hz", "_bytes")
    numbers = {"p50", "p90", "p99", "throughput", "load", "first_inference", "size", "memory_high_water"}
    columns = list(parsed(COMPARISON)[0])
    for number in numbers:
        assert [column for column in columns if column.startswith(number) and column.endswith(units)], number


def test_commas_quotes_and_newlines_in_csv_come_back() -> None:
    name = 'a,"b"\nc-onnx-fp32'
    assert parsed(compare.compare([make_record(make_artifact(name))]))[0]["artifact"] == name


# ------------------------------------------------------------------ html


class Page(HTMLParser):
    """What a browser sees: cells of the table, scripts, and everything that would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
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


def specs(page: Page) -> Iterator[tuple[str, dict[str, Any]]]:
    """(heading, Vega-Lite specification) of each chart in the page."""
    script = page.scripts[-1]
    starts = list(re.finditer(r'vegaEmbed\("#chart(\d+)", ', script))
    headings = [one for one in page.headings if one.startswith(("Latency", "Every latency", "Accuracy", "Size"))]
    assert [start[1] for start in starts] == [str(number) for number in range(1, len(headings) + 1)]
    for start, heading in zip(starts, headings, strict=True):
        yield heading, json.JSONDecoder().raw_decode(script, start.end())[0]


def labels(spec: Any) -> set[str]:
    """The artifacts in the data of a chart, wherever in the specification the data stand."""
    if isinstance(spec, list):
        return {label for one in spec for label in labels(one)}
    if not isinstance(spec, dict):
        return set()
    own = {spec["artifact"]} if isinstance(spec.get("artifact"), str) else set()
    return own | {label for one in spec.values() for label in labels(one)}


def test_the_page_holds_each_record_with_its_numbers(page: Page) -> None:
    rows = [["".join(cell.split()) for cell in row] for row in page.rows if row]
    assert len(rows) == 8
    for cells, row in zip(rows, COMPARISON.rows, strict=False):
        assert row.record.artifact.name in cells[0]
        assert row.record.target.name in cells[1] and ("emulatedclock" in cells[1]) is row.record.target.emulated
        assert cells[2] == row.verdict.level
        assert cells[3].startswith(_format.time(row.p50_ns.value).replace(" ", "") if row.p50_ns else "-")
        assert cells[7] == _format.ratio(row).replace(" ", "")


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
    shown = [label for _, spec in specs(page) for label in labels(spec)]
    assert any(label.startswith(HOSTILE) for label in shown)


def test_emulated_and_real_times_are_never_in_one_chart(page: Page) -> None:
    kinds = []
    for heading, spec in specs(page):
        if heading.startswith("Size"):
            continue
        emulated = {label.endswith("pi-emulated") for label in labels(spec)}
        assert len(emulated) == 1, heading
        assert emulated.pop() is ("emulated" in heading)
        kinds.append("emulated" in heading)
    assert set(kinds) == {True, False}


def test_the_charts_show_every_record_that_was_timed(page: Page) -> None:
    timed = {f"{row.record.artifact.name} · {row.record.target.name}" for row in COMPARISON.rows if row.p50_ns}
    shown = {label for heading, spec in specs(page) if heading.startswith("Latency") for label in labels(spec)}
    assert timed <= shown


def test_records_without_times_make_a_page_too() -> None:
    assert [heading for heading, _, _ in charts(compare.compare([failed()]))] == ["Size of the files"]


# ------------------------------------------------------------------ words and numbers


@pytest.mark.parametrize(
    ("provenance", "said"),
    [
        ("measured", "measured"),
        ("estimated", "estimated"),
        ("modelled", "modelled"),
    ],
)
def test_energy_is_shown_with_its_provenance(provenance: str, said: str) -> None:
    for shown in (on_terminal(energy_of(provenance), width=200), markdown.render(energy_of(provenance))):
        assert "hwmon" in shown and "cpu_package" in shown and said in shown


CLOCKS_HZ = (1_800_000_000, 1_500_000_000, 1_800_000_000)


def test_energy_says_how_warm_and_fast_the_device_was_meanwhile() -> None:
    reading = make_reading()
    windows = [
        msgspec.structs.replace(one, temperature_c=celsius, clock_hz=hertz, start_ns=10 * n + 5)
        for n, (one, celsius, hertz) in enumerate(zip(reading.windows, (51.0, 58.0, 54.0), CLOCKS_HZ, strict=True))
    ]
    idle = [msgspec.structs.replace(one, temperature_c=45.0 + n, start_ns=10 * n) for n, one in enumerate(reading.idle)]
    reading = msgspec.structs.replace(reading, windows=tuple(windows), idle=tuple(idle))
    said = markdown.render(compare.compare([make_record(energy=(reading,))]))
    assert "45 °C before and 48 °C after, at most 58 °C; lowest clock 1.50 GHz, median 1.80 GHz." in said
    assert "°C before" not in markdown.render(compare.compare([make_record(energy=(make_reading(),))]))


def test_energy_in_csv_has_its_provenance_too() -> None:
    assert "measured" in parsed(energy_of("measured"))[0]["energy"]


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0.5, "0.500 ns"),
        (999, "999 ns"),
        (1000, "1.00 µs"),
        (50_300, "50.3 µs"),
        (1.5e6, "1.50 ms"),
        (12.34e9, "12.3 s"),
    ],
)
def test_times_have_three_digits_and_a_unit(ns: float, said: str) -> None:
    assert _format.time(ns) == said


@pytest.mark.parametrize(
    ("count", "said"), [(None, "-"), (0, "0 B"), (999, "999 B"), (110_000, "110 kB"), (4_000_000_000, "4.00 GB")]
)
def test_sizes_are_decimal(count: int | None, said: str) -> None:
    assert _format.size(count) == said


@pytest.mark.parametrize(("j", "said"), [(0.03, "30.0 mJ"), (2.5, "2.50 J"), (4.2e-6, "4.20 µJ"), (-0.001, "-1.00 mJ")])
def test_joules_keep_their_sign(j: float, said: str) -> None:
    assert _format.joules(j) == said


def ratio_cell(value: float, low: float | None, high: float | None) -> str:
    row = COMPARISON.rows[1]
    return _format.ratio(dataclasses.replace(row, ratio=stats.Ratio(value, low, high, True)))


def test_a_ratio_that_shows_no_difference_says_what_would_have_been_seen() -> None:
    assert ratio_cell(1.0, 0.98, 1.0204).startswith("same (within 2.0%")
    assert ratio_cell(0.41, 0.40, 0.42) == "0.41x (0.40-0.42)"
    assert "no interval" in ratio_cell(2.0, None, None)


def test_a_small_ratio_is_not_rounded_to_nothing() -> None:
    assert ratio_cell(0.0041, 0.0040, 0.0042) == "0.0041x (0.0040-0.0042)"


def test_a_small_difference_is_not_rounded_to_none() -> None:
    assert "1.00x" not in ratio_cell(1.003, 1.002, 1.004)


# ------------------------------------------------------------------ files


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    report.write(COMPARISON, "csv", path)
    assert path.read_text() == csv.render(COMPARISON)
    assert [one.name for one in tmp_path.iterdir()] == [
        "out.csv",
        *(["cache"] if (tmp_path / "cache").exists() else []),
    ]


def test_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written \(No such file or directory\)\. Give another path"):
        report.write(COMPARISON, "csv", tmp_path / "no" / "such" / "folder.csv")


def test_reports_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """Python warns of files that are opened in the locale's encoding, if asked to."""
    script = (
        "import warnings\n"
        "from pathlib import Path\n"
        "from edgebench import compare, report\n"
        "from tests.records import make_record\n"
        "comparison = compare.compare([make_record()])\n"
        "warnings.filterwarnings('error', category=EncodingWarning, module='edgebench')\n"
        "report.write(comparison, 'markdown', Path('out'))\n"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(Path(report.__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "±" in (tmp_path / "out").read_text(encoding="utf-8")


def test_an_unknown_form_is_answered_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'markdown'"):
        report.write(COMPARISON, "markdwn", tmp_path / "x")
