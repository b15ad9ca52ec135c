"""A comparison in the forms that people read. RENEW_GOLDENS=1 writes the golden texts in tests/data anew."""

from __future__ import annotations

import csv as csv_
import io
import json as json_
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from edgebench import compare
from edgebench.analysis import formatting, inspection_report, report
from edgebench.analysis import terminal_report as terminal
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report import csv, json, latex, markdown, parquet
from edgebench.errors import UnknownName, UserError
from edgebench.plugins import load
from edgebench.schema.bundle import OutputParity
from edgebench.schema.record import Runtime
from tests.conftest import DATA
from tests.support.comparisons import COMPARISON, fixed_records
from tests.support.records import FACTS, make_artifact, make_reading, make_record, make_rounds


def on_terminal(comparison: Comparison, width: int = 80, *, verbose: bool = True) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False, color_system=None)
    terminal.show(comparison, console, verbose=verbose)
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
            assert formatting.estimate_parts(estimate)[0].replace(" ", "") in shown


def test_every_reason_and_difference_is_said_with_its_rows() -> None:
    shown = " ".join(on_terminal(COMPARISON).split())
    assert "(3) invalid: failed in check: SIGFPE during 'load'" in shown
    assert "(2) suspect: other programs kept 0.80 processors busy" in shown
    assert "(2) note: differs from the baseline: kernel: 6.13, baseline 6.12" in shown
    assert "(1) note: differs from the baseline: threads: 4, baseline 1" in shown
    assert "pi-emulated is emulated" in shown and "EMULATED" in shown
    assert "outputs on pi are bit-identical to desk" in shown


def test_rows_that_follow_one_another_are_named_as_one_run() -> None:
    fine = [make_record(f"net{number}-onnx-fp32") for number in range(3)]
    unchecked = [make_record(f"other{number}-onnx-fp32", golden=None) for number in range(5)]
    shown = on_terminal(compare.compare([*fine, *unchecked, *fine[:1], *unchecked[:1]]))
    assert "(4)-(8)(10) suspect: its answers were not checked" in " ".join(shown.split())


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


def test_identical_answers_are_called_so() -> None:
    """They have no noise; 300 dB stands for that in the file."""
    alike, near = (OutputParity("logits", sqnr_db=db) for db in (300.0, 136.02))
    assert inspection_report.agreement_words(alike) == "answers identical to its network's"
    assert inspection_report.agreement_words(near) == "SQNR 136.0 dB"


# ------------------------------------------------------------------ markdown


def test_markdown_is_what_it_always_was() -> None:
    assert is_golden(markdown.render(COMPARISON), "comparison.md")


def test_markdown_has_a_line_of_equal_cells_for_each_record() -> None:
    lines = [line for line in markdown.render(COMPARISON).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(COMPARISON.rows)
    assert len({line.count("|") for line in lines}) == 1


def test_a_bar_in_a_name_does_not_make_a_cell() -> None:
    record = make_record(make_artifact("a|b-onnx-fp32"))
    lines = [line for line in markdown.render(compare.compare([record])).splitlines() if line.startswith("|")]
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


# ------------------------------------------------------------------ energy


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
        "from edgebench import compare; from edgebench.analysis import report\n"
        "from tests.support.records import make_record\n"
        "comparison = compare.compare([make_record()])\n"
        "warnings.filterwarnings('error', category=EncodingWarning, module='edgebench')\n"
        "report.write(comparison, 'markdown', Path('out'))\n"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(Path(report.__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "µ" in (tmp_path / "out").read_text(encoding="utf-8")


def test_an_unknown_form_is_answered_with_a_guess(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'markdown'"):
        report.write(COMPARISON, "markdwn", tmp_path / "x")


# ------------------------------------------------------------------ other forms


def test_json_has_every_row_with_numbers_and_outcomes() -> None:
    content = json_.loads(json.render(COMPARISON))
    assert content["schema_version"] == 1 and len(content["rows"]) == len(COMPARISON.rows)
    first, second, third = content["rows"][:3]
    assert first["p50_s"] == pytest.approx(50e-6, rel=1e-3) and first["outcome"] is None
    assert second["outcome"] == "different" and second["ratio_to_baseline"] == pytest.approx(0.6, rel=1e-3)
    assert second["unlike"] == [{"name": "kernel", "rule": "noted", "own": "6.13", "baseline": "6.12"}]
    assert third["p50_s"] is None and third["reasons"][0]["level"] == "invalid"
    assert first["energy"][0]["provenance"] == "measured"


def test_parquet_keeps_types() -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(io.BytesIO(parquet.render(COMPARISON)))
    assert table.column_names == list(parsed(COMPARISON)[0])
    assert [str(table.schema.field(name).type) for name in ("p50_s", "emulated", "size_bytes", "outcome")] == [
        "double", "bool", "int64", "string",
    ]  # fmt: skip
    assert table.column("p50_s").to_pylist()[2] is None


def test_latex_escapes_names_and_has_equal_rows() -> None:
    text = latex.render(compare.compare([make_record(make_artifact(r"a_b&c\d%-onnx-fp32")), *fixed_records()]))
    assert r"a\_b\&c\textbackslash{}d\%-onnx-fp32" in text and r"\bottomrule" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and not line.startswith("  ")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {8}


# ------------------------------------------------------------------ outcomes


@pytest.mark.parametrize("form", ["csv", "html", "json", "latex", "markdown", "parquet", "summary", "terminal"])
def test_a_ratio_that_is_not_resolved_is_called_so_in_every_form(form: str) -> None:
    """36.9 and 46.9 us with intervals that overlap: 0.94 to 1.60 was once "same"."""
    wild = [make_rounds([p50_ns * one for one in (0.9, 1.3, 0.7, 1.1, 0.95, 1.2, 1.0, 0.8)]) for p50_ns in (37e3, 45e3)]
    shuffled = wild[1][3:] + wild[1][:3]
    rounds = tuple(msgspec.structs.replace(one, number=number) for number, one in enumerate(shuffled))
    found = compare.compare([make_record("a-onnx-fp32", rounds=wild[0]), make_record("b-onnx-fp32", rounds=rounds)])
    assert found.rows[1].outcome == "not resolved"
    if form == "terminal":
        text = on_terminal(found, verbose=False)
    elif form == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        text = str(pq.read_table(io.BytesIO(parquet.render(found))).column("outcome").to_pylist())
    else:
        text = load("edgebench.analysis.report", form, kind="report").render(found)
    assert "not resolved" in text.partition("<script>")[0]
