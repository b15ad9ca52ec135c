"""Records at rest: what is written is read back, and what is not a record is refused with the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench.energy import per_inference
from edgebench.errors import BadFile, UserError
from edgebench.schema import record, record_files
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.record import Outcome, Record
from tests.support.records import failed, make_artifact, make_reading, make_record, save_all
from tests.support.whole_records import as_in_schema_4

FULL = make_record(
    make_artifact("net-onnx-fp32", accuracy=0.9, macs=342_464, parameters=101_930),
    energy=(make_reading(), EnergyReading("nvml", "unavailable", "no GPU")),
)


def written(folder: Path, **changes: Any) -> Path:
    """The file of a good record with some of its JSON changed; None removes a key."""
    content = json.loads(msgspec.json.encode(FULL))
    content |= changes
    path = folder / "record.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


@pytest.mark.parametrize("one", [FULL, make_record(), failed()], ids=["full", "clean", "failed"])
def test_a_record_is_read_back_as_it_was(one: Record, tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [one])
    assert path == tmp_path / "board" / f"{one.id}.json"
    assert record_files.load(path) == one


def test_a_metric_that_was_not_measured_is_absent(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [failed()])
    kept = json.loads(path.read_text())
    unmeasured = {
        "first_inference_ns",
        "load_ns",
        "golden",
        "memory",
        "rounds",
        "energy",
        "stationary",
        "warmup",
        "load",
    }
    assert not unmeasured & kept.keys()
    assert kept["outcome"]["kind"] == "crashed"
    (path,) = save_all(tmp_path, [make_record("other-onnx-fp32")])
    assert "energy" not in json.loads(path.read_text()) and "null" not in json.dumps(
        json.loads(path.read_text())["rounds"]
    )


def test_a_fact_or_a_temperature_that_was_not_read_is_absent(tmp_path: Path) -> None:
    rounds = tuple(msgspec.structs.replace(one, temperature_c=None, throttled=None) for one in FULL.rounds)
    facts = msgspec.structs.replace(FULL.facts_before, governor=None, throttled=None)
    (path,) = save_all(tmp_path, [make_record(rounds=rounds, facts_before=facts)])
    kept = json.loads(path.read_text())
    assert set(kept["rounds"][0]) == {"start_ns", "block", "values_ns", "number"}
    assert not {"governor", "throttled"} & kept["facts_before"].keys()


def test_a_zero_that_was_measured_is_kept(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [make_record()])
    assert json.loads(path.read_text())["rounds"][0]["throttled"] == 0


def test_statistics_are_not_stored(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [FULL])
    assert not any(word in path.read_text() for word in ("p50", "median", "verdict", "throughput"))


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [FULL])
    before = path.read_bytes()
    with pytest.raises(UserError, match="another record has this name"):
        record_files.save(msgspec.structs.replace(FULL, load_ns=1), tmp_path)
    assert path.read_bytes() == before


def test_saving_the_same_record_again_is_fine(tmp_path: Path) -> None:
    assert save_all(tmp_path, [FULL]) == save_all(tmp_path, [FULL])
    assert [path.name for path in (tmp_path / "board").iterdir()] == [f"{FULL.id}.json"]  # and no .part


def test_a_half_written_record_of_a_kill_does_not_count(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [FULL])
    path.with_suffix(".part").write_bytes(path.read_bytes()[:100])
    assert record_files.load_target(tmp_path, "board").records == [FULL]


def test_the_records_of_a_target_come_oldest_first(tmp_path: Path) -> None:
    dates = ["20261121T000000Z", "20261120T000000Z", "20261120T000001Z"]
    save_all(tmp_path, [make_record(created=date) for date in dates])
    assert [one.created for one in record_files.load_target(tmp_path, "board").records] == sorted(dates)
    assert record_files.load_target(tmp_path, "another").records == []


# ------------------------------------------------------------------ what is refused


def test_a_record_of_schema_1_is_upgraded(tmp_path: Path) -> None:
    """Its joules of all scopes were together, each window had an idle one before it, and no precision was asked."""
    window = {"idle_s": 4.0, "idle_j": {"dram": 2.0, "cpu_package": 8.0}, "active_s": 10.0}
    window |= {"active_j": {"dram": 10.0, "cpu_package": 50.0}, "inferences": 100}
    old = [
        {"meter": "rapl", "provenance": "measured", "reason": "it went away", "windows": [window, window]},
        {"meter": "nvml", "provenance": "unavailable", "reason": "no GPU", "windows": []},
    ]
    asked = json.loads(msgspec.json.encode(FULL.plan))
    del asked["energy_precision"], asked["energy_windows_max"]
    older = as_in_schema_4(json.loads(msgspec.json.encode(FULL)))
    golden, artifact = older["golden"], older["artifact"]
    changes = {"energy": old, "plan": asked, "golden": golden, "artifact": artifact}
    one = record_files.load(written(tmp_path, schema_version=1, **changes))
    assert one.golden == FULL.golden and one.artifact.parity and one.artifact.parity.top1_agreement == 0.99
    package, dram, gpu = one.energy
    assert [(r.meter, r.scope, r.provenance) for r in (package, dram, gpu)] == [
        ("rapl", "cpu_package", "measured"), ("rapl", "dram", "measured"), ("nvml", "", "unavailable"),
    ]  # fmt: skip
    assert package.reason == "it went away" and [w.energy_j for w in package.windows] == [50.0, 50.0]
    found = per_inference.per_inference(package)
    assert found and found.gross_j.value == 0.5 and found.net_j and found.net_j.value == pytest.approx(0.3)
    assert one.schema_version == record.SCHEMA_VERSION and one.plan.energy_precision == 1.0


def test_a_newer_schema_is_refused_with_the_remedy_even_if_nothing_else_fits(tmp_path: Path) -> None:
    path = written(tmp_path, schema_version=record.SCHEMA_VERSION + 1, shape_of_things_to_come=[], rounds=None)
    with pytest.raises(BadFile, match=rf"reads only up to {record.SCHEMA_VERSION}\. Upgrade edgebench"):
        record_files.load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "blue"}, "unknown field `colour`"),
        ({"schema_version": None}, "schema_version"),
        ({"schema_version": "1"}, "it is not a record"),
        ({"load_ns": "fast"}, "load_ns"),
        ({"load_ns": 1.5}, "load_ns"),
        ({"outcome": {"status": "splendid"}}, "outcome.status"),
        ({"outcome": {"status": "failed", "mood": "bad"}}, "unknown field `mood`"),
        (
            {"rounds": [{"start_ns": 0, "block": 1, "values_ns": [1], "number": 0, "colour": 1}]},
            "unknown field `colour`",
        ),
        ({"rounds": [{"start_ns": 0, "block": 1, "values_ns": [1]}]}, "number"),
        ({"plan": {"preset": "quick"}}, "plan"),
        ({"target": None}, "target"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"record\.json: it is not a record") as caught:
        record_files.load(written(tmp_path, **changes))
    assert said in caught.value.seen


@pytest.mark.parametrize("content", [b"", b"[]", b"17", b"null", b"not json", b'{"schema_version":1}', b"\x00\x01"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="it is not a record.*Move it away, or use another copy"):
        record_files.load(path)


def test_a_record_with_a_broken_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(msgspec.json.encode(FULL).replace(b"net-onnx", b"n\xff-onnx", 1))
    with pytest.raises(BadFile):
        record_files.load(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_a_truncated_record_is_refused(share: float, tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [FULL])
    whole = path.read_bytes().rstrip()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadFile, match="it is not a record"):
        record_files.load(path)


def test_a_record_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"gone\.json: cannot be read \(No such file or directory\)"):
        record_files.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    "broken", [{"block": 0}, {"values_ns": []}, {"values_ns": [5, 0, 5]}, {"values_ns": [-5]}], ids=str
)
def test_a_round_that_no_device_can_have_measured_is_refused(broken: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, rounds=[{"start_ns": 0, "block": 1, "values_ns": [5, 5], "number": 0, **broken}])
    with pytest.raises(BadFile):
        record_files.load(path)


def test_every_outcome_can_be_stored(tmp_path: Path) -> None:
    for status in ("complete", "budget", "stopped", "failed", "agent-died"):
        outcome = Outcome(status, kind="error" if status == "failed" else "")  # type: ignore[arg-type]
        one = make_record(f"{status.replace('-', '')}-onnx-fp32", outcome=outcome)
        assert record_files.load(save_all(tmp_path, [one])[0]).outcome.status == status
