"""CodeCarbon's emissions.csv: the two rows of the CIFAR-100 profile study, and files that are none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgebench.energy import codecarbon_table
from edgebench.errors import BadFile
from edgebench.studies import audit
from edgebench.studies.audit import AuditEvidence
from tests.support.audit_cases import DATA

FILE = DATA / "emissions.csv"


def edited(folder: Path, **cells: str | None) -> Path:
    """The file with cells of its second run changed; a column of None is taken out."""
    with FILE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[1].update({name: text for name, text in cells.items() if text is not None})
    header = [name for name in rows[0] if cells.get(name, "") is not None]
    path = folder / "emissions.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_what_follows_from_the_two_rows_of_study_002() -> None:
    resnet, efficientnet = codecarbon_table.load(FILE).runs
    assert (resnet.name, resnet.region, resnet.version) == ("resnet18", "iowa", "2.8.3")
    assert round(resnet.intensity_g_per_kwh, 1) == 452.6 and round(efficientnet.intensity_g_per_kwh, 1) == 285.5
    assert (resnet.mean_power_w("gpu"), efficientnet.mean_power_w("gpu")) == pytest.approx((69.07, 75.23), abs=0.005)
    assert round(efficientnet.energy_kwh / resnet.energy_kwh, 2) == 16.26
    assert round(efficientnet.emissions_kg / resnet.emissions_kg, 2) == 10.26
    assert (round(resnet.emissions_g(), 2), round(efficientnet.emissions_g(), 2)) == (11.74, 190.94)
    assert (resnet.modelled_share, efficientnet.modelled_share) == pytest.approx((0.44, 0.42), abs=0.005)
    assert resnet.modelled == ("cpu", "ram") and resnet.is_cpu_constant


def test_version_3_has_other_columns_and_mean_powers() -> None:
    for one in codecarbon_table.load(DATA / "emissions_corrected.csv").runs:
        assert one.version == "3.2.9" and one.modelled == ("ram",)
        assert one.modelled_share == 0.0
        assert one.power_w["gpu"] == pytest.approx(one.mean_power_w("gpu"), rel=1e-4)


def test_the_constant_is_the_tables_unit() -> None:
    """Test vectors of the PLOS study: 150 kJ are 21.997 g, 400 kJ are 58.659 g."""
    kwh = {kilojoules: kilojoules / 3600 for kilojoules in (150, 400)}
    assert [round(kwh[kj] * codecarbon_table.INTENSITY_G_PER_KWH, 3) for kj in kwh] == [21.997, 58.659]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"gpu_energy": "plenty"}, "gpu_energy is 'plenty', which is not an amount"),
        ({"duration": ""}, "duration is empty"),
        ({"duration": "0"}, "duration is 0"),
        ({"energy_consumed": "-1"}, "energy_consumed is '-1'"),
        ({"energy_consumed": "0.0"}, "energy_consumed is 0, so nothing was tracked"),
        ({"emissions": "nan"}, "emissions is 'nan'"),
        ({"emissions": "1e400"}, "emissions is '1e400'"),
        ({"emissions": "inf"}, "emissions is 'inf'"),
        ({"emissions": "1e-320"}, "emissions is '1e-320'"),
    ],
)
def test_a_damaged_line_is_left_out_and_said(tmp_path: Path, cells: dict[str, str | None], words: str) -> None:
    table = codecarbon_table.load(edited(tmp_path, **cells))
    assert [run.name for run in table.runs] == ["resnet18"]
    (left_out,) = table.left_out
    assert words in left_out.seen and (left_out.count, left_out.number) == (1, 2)


HEADER, RESNET, EFFICIENTNET = FILE.read_bytes().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        EFFICIENTNET + b",more",
        EFFICIENTNET[:-100],  # killed while it was written
        b'"' + EFFICIENTNET,  # an open quote
        b"\0\0\0\0",
        b"\xff\xfe\x81",
        b"," * 400_000,
        b"x" * 200_000,
    ],
)
def test_a_line_in_the_middle_does_not_end_the_table(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "emissions.csv"
    path.write_bytes(b"\n".join([HEADER, RESNET, line, EFFICIENTNET, b""]))
    table = codecarbon_table.load(path)
    assert [(run.name, run.number) for run in table.runs] == [("resnet18", 1), ("efficientnet-b4", 3)]
    assert [(one.count, one.number) for one in table.left_out] == [(1, 2)]


def test_lines_that_are_damaged_alike_are_counted_together(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    bad = [EFFICIENTNET.replace(b"0.1032593", f"{number}?".encode()) for number in range(50)]
    path.write_bytes(b"\n".join([HEADER, RESNET, *bad]))
    expected = codecarbon_table.SkippedLines("emissions is '0?', which is not an amount", 50, 2)
    assert codecarbon_table.load(path).left_out == (expected,)


def test_tables_of_two_versions_that_were_put_together_are_read(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    path.write_bytes(FILE.read_bytes() + (DATA / "emissions_corrected.csv").read_bytes())
    table = codecarbon_table.load(path)
    assert [run.mean_powers for run in table.runs] == [False, False, True, True] and not table.left_out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"a,b\n1,2\n", "it has none of CodeCarbon's columns"),
        (b"duration,b\n1,2\n", "it lacks the columns emissions, energy_consumed"),
        (b"\xff\xfe\x00\x81", "it has none of CodeCarbon's columns"),
        (HEADER + b"\n", "it has a header but no run"),
        (HEADER + b"\n" + RESNET[:-40], "run 1: it has 26 fields, but the header has 32, and no other run is usable"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "emissions.csv"
    path.write_bytes(content)
    with pytest.raises(BadFile) as told:
        codecarbon_table.load(path)
    assert words in str(told.value)


# ------------------------------------------------------------------ versions

# What each version writes, in its order; of 1.2 and 2.1 by installing them.
V1 = "timestamp,experiment_id,project_name,duration,emissions,energy_consumed,country_name,country_iso_code,region"
V1 += ",on_cloud,cloud_provider,cloud_region"
V2 = "timestamp,project_name,run_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,cpu_energy"
V2 += ",gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,cloud_provider,cloud_region,os"
V2 += ",python_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,tracking_mode,on_cloud"


def written(folder: Path, columns: str, *runs: dict[str, object]) -> Path:
    path = folder / "emissions.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns.split(","), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(runs)
    return path


RUN: dict[str, object] = {"duration": 3600, "emissions": 0.05, "energy_consumed": 0.1, "country_name": "France"}
PARTS = {"cpu_power": 30, "gpu_power": 50, "ram_power": 10, "cpu_energy": 0.04, "gpu_energy": 0.05, "ram_energy": 0.01}


def test_version_1_tells_no_components(tmp_path: Path) -> None:
    (run,) = codecarbon_table.load(written(tmp_path, V1, RUN)).runs
    assert (run.energy_kwh, run.intensity_g_per_kwh) == (0.1, 500.0)
    assert (run.modelled_share, run.mean_power_w("cpu"), run.power_w) == (None, None, {})
    assert [finding.detector for finding in audit.audit(AuditEvidence(emissions=(run,)))] == []


def test_version_2_does_not_say_its_version(tmp_path: Path) -> None:
    (run,) = codecarbon_table.load(written(tmp_path, V2, {**RUN, **PARTS})).runs
    assert run.mean_powers is False and run.modelled_share == pytest.approx(0.1)
    said = [finding.seen for finding in audit.audit(AuditEvidence(emissions=(run,)), ["last-sample-power"])]
    assert said == ["cpu_power is 30.0 W, the last sample; the mean of the run is 40.00 W"]


@pytest.mark.parametrize(
    ("version", "is_mean"),
    [("2.3.5", False), ("3.1.1", False), ("3.2.0", True), ("3.3.2", True), ("10.0", True), ("", None), ("dev", None)],
)
def test_a_power_is_a_mean_from_version_3_2_on(tmp_path: Path, version: str, is_mean: bool | None) -> None:
    line = {**RUN, **PARTS, "codecarbon_version": version}
    (run,) = codecarbon_table.load(written(tmp_path, V2 + ",codecarbon_version", line)).runs
    found = audit.audit(AuditEvidence(emissions=(run,)), ["last-sample-power"])
    assert run.mean_powers is is_mean and bool(found) == (is_mean is False)


def test_the_usage_effectiveness_of_a_data_centre_is_no_last_sample(tmp_path: Path) -> None:
    """Before version 3.2 energies are multiplied by it and powers are not."""
    line = {**RUN, **PARTS, "cpu_power": 20, "gpu_power": 25, "ram_power": 5, "pue": 2}
    (run,) = codecarbon_table.load(written(tmp_path, V2 + ",pue", line)).runs
    assert audit.audit(AuditEvidence(emissions=(run,)), ["last-sample-power"]) == []


def test_what_the_installed_version_writes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon = pytest.importorskip("codecarbon")
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        tracker = codecarbon.OfflineEmissionsTracker(
            project_name=name, country_iso_code="FRA", log_level="critical", force_cpu_power=10, force_ram_power=5,
            allow_multiple_runs=True,
        )  # fmt: skip
        tracker.start()
        tracker.stop()
    table = codecarbon_table.load(tmp_path / "emissions.csv")
    assert [run.name for run in table.runs] == ["first", "second"] and not table.left_out
    assert all(run.mean_powers and run.country == "France" for run in table.runs)
    assert not [one for one in audit.audit(AuditEvidence(emissions=table.runs)) if one.level == "wrong"]


# ------------------------------------------------------------------ findings


def test_a_cause_is_one_finding_however_many_runs_have_it(tmp_path: Path) -> None:
    """502 runs of an older version in two countries: once for each pair of them would be a hundred thousand."""
    lines = [
        {**RUN, **PARTS, "cpu_power": 30 + number % 7, "gpu_power": 60 - number % 11, "emissions": 0.05 + number % 2}
        for number in range(502)
    ]
    found = audit.audit(AuditEvidence(emissions=codecarbon_table.load(written(tmp_path, V2, *lines)).runs))
    assert len(found) <= 6
    assert any("502 of 502 runs" in finding.seen for finding in found)


def test_emissions_of_0_are_a_finding_and_no_other_grid(tmp_path: Path) -> None:
    lines = ({**RUN, **PARTS, "project_name": "a", "emissions": 0}, {**RUN, **PARTS, "project_name": "b"})
    runs = codecarbon_table.load(written(tmp_path, V2, *lines)).runs
    assert audit.audit(AuditEvidence(emissions=runs), ["different-regions"]) == []
    (finding,) = audit.audit(AuditEvidence(emissions=runs), ["co2-arithmetic"])
    assert (finding.level, finding.seen) == ("doubtful", "emissions are 0 for 0.10000 kWh")


def test_two_papers_in_one_call_are_not_compared(tmp_path: Path) -> None:
    runs = []
    for name, emitted in (("one", 0.05), ("other", 0.03)):
        (tmp_path / name).mkdir()
        runs += codecarbon_table.load(written(tmp_path / name, V2, {**RUN, "emissions": emitted})).runs
    assert audit.audit(AuditEvidence(emissions=tuple(runs)), ["different-regions"]) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        codecarbon_table.load(tmp_path / "emissions.csv")
