"""Journal lines as agents write them, by hand, and the records that come of them."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device_agents.python import PROTOCOL
from device_agents.python.artifact_run import ArtifactRun
from device_agents.python.store import Store
from edgebench.analysis import stats
from edgebench.device import journal, records_from_journal
from edgebench.device.job_store import JobRequest, StoredJob
from edgebench.errors import AgentError
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.records import PLAN, make_artifact

Lines = list[dict[str, Any]]

ARTIFACTS = tuple(make_artifact(name) for name in ("a-onnx-fp32", "b-tflite-int8"))
RUNTIMES = ("onnxruntime", "litert")
GOLDEN = {
    "count": 2, "inputs": ["0" * 64],
    "outputs": [{"expected": "1" * 64, "reference": "2" * 64, "max_relative_error": 1e-3}],
}  # fmt: skip


def request(plan: Plan = PLAN) -> JobRequest:
    specs = [{"runtime": runtime, "golden": golden} for runtime, golden in zip(RUNTIMES, (GOLDEN, None), strict=True)]
    target = Target(name="board", transport="ssh", host="board", threads=2)
    return JobRequest("20261120T100000Z-abc", "abc", "20261120T100000Z", target, plan, ARTIFACTS, tuple(specs))


LOADED: dict[str, Any] = {"load_ns": 7, "first_inference_ns": 8, "fed": [], "runtime": {"name": "onnxruntime"}}


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, **fields}


def of(artifact: int, typical_ns: int, rounds: int = 6) -> Lines:
    """Everything that an agent writes about an artifact without failures."""
    memory = {"rss_bytes": 1000 + artifact, "high_water_bytes": 2000 + artifact}
    loaded = {**LOADED, "load_ns": 100 + artifact, "first_inference_ns": 50 + artifact}
    loaded["runtime"] = {
        "name": RUNTIMES[artifact % 2], "facts": {"version": f"1.{artifact}"}, "notes": {"n": artifact},
        "threads": 2, "cpus": [0, 1, 2, 3],
    }  # fmt: skip
    output = {"passed": True, "values_base64": "AAAA", "relative_error": 0.0, "max_abs_diff": 0.0}
    output |= {"agreement_with_host": 1.0, "agreement_with_parent": 1.0}
    golden = {"passed": True, "count": 2, "outputs": [output]}
    line: Lines = [
        event("loaded", loaded=loaded),
        event("memory", memory={"bare": memory, "loaded": memory, "running": memory, "reset": True}),
        event("warmup", series={"block": 1, "start_ns": 5}, values_ns=[9 * typical_ns]),
        event("warm", stationary=True, windows=1, spent_s=0.1),
    ]
    if artifact == 0:
        line.append(event("golden", golden=golden))
    for number in range(rounds):
        values_ns = [typical_ns + step for step in range(10)]
        round_ = {"number": number, "block": 1, "start_ns": 1000 * number + artifact}
        seen = {"temperature_c": 41.5, "throttled": None, "clock_hz": 1_800_000_000}
        timed = {"duration_ns": 10 * typical_ns + 100, "missed": None, **seen, **round_}
        line.append(event("round", round=timed, values_ns=values_ns))
    return [{**one, "artifact": artifact} for one in line]


START: Lines = [
    event("job", id="20261120T100000Z-abc", protocol=PROTOCOL, python="3.11.2"),
    event("facts", when="before", facts={"cores": 4, "kernel": "6.12", "load_1min": 0.0}),
]
COOLING = {"waited_s": 0.0, "limit_c": 44.5, "limit_hz": None, "curve": [[0.0, 41.5, None]]}
GATE = event("gate", artifacts=None, cooling=COOLING, open=True)
NO_METER = event("meter", meter="rapl", reason="none here")
AFTER = event("facts", when="after", facts={"load_1min": 0.9})
BUSY = {"wall_s": 2.0, "own_s": 1.9, "busy_s": 2.2, "steal_s": 0.1, "clocks_s": {"policy0": {"1800000000": 1.9}}}
LOAD = event("load", artifacts=[0, 1], load=BUSY)
DONE: Lines = [LOAD, NO_METER, AFTER, event("end", status="done", complete=[0, 1])]


def encode(lines: Iterable[dict[str, Any]]) -> list[bytes]:
    return [json.dumps({"n": n, "t_ns": 1000 + n, **line}).encode() for n, line in enumerate(lines)]


def records(lines: Lines, *, plan: Plan = PLAN, agent_died: str | None = None) -> list[Record]:
    return of_lines(encode(lines), plan=plan, agent_died=agent_died)


def of_lines(lines: Sequence[bytes], *, plan: Plan = PLAN, agent_died: str | None = None) -> list[Record]:
    """As `deploy` makes them, from lines that arrived."""
    with tempfile.TemporaryDirectory() as folder:
        job = StoredJob(Path(folder), request(plan))
        for line in lines:
            job.append(line)
        return records_from_journal.to_records(job, agent_died=agent_died, version="0.1.0")


def test_a_whole_journal_becomes_complete_records() -> None:
    first, second = records([*START, *of(0, 50_000), GATE, *of(1, 20_000), *DONE])
    assert first.outcome.status == second.outcome.status == "complete"
    assert (first.id, first.job) == ("20261120T100000Z-a-onnx-fp32", "20261120T100000Z-abc")
    assert (first.target.name, first.target.transport, first.target.threads) == ("board", "ssh", 2)
    assert first.facts_before.cores == 4 and first.facts_after is not None and first.facts_after.load_1min == 0.9
    assert first.gate_open is True and first.stationary is True
    assert first.load is not None and first.load.others == pytest.approx((2.2 - 1.9 + 0.1) / 2.0)
    assert first.energy[0].provenance == "unavailable" and first.energy[0].reason == "none here"
    assert [round_.number for round_ in first.rounds] == list(range(6))
    assert first.rounds[2].start_ns == 2000 and first.rounds[0].temperature_c == 41.5
    assert first.warmup[0].values_ns == (450_000,)


def test_the_lines_of_one_artifact_do_not_leak_into_another() -> None:
    pairs = itertools.zip_longest(of(0, 50_000), of(1, 20_000))
    interleaved = [line for pair in pairs for line in pair if line]
    first, second = records([*START, *interleaved, GATE, *DONE])
    for one, typical_ns, artifact in ((first, 50_000, 0), (second, 20_000, 1)):
        assert {value // 10_000 for round_ in one.rounds for value in round_.values_ns} == {typical_ns // 10_000}
        assert one.load_ns == 100 + artifact and one.first_inference_ns == 50 + artifact
        assert one.memory is not None and one.memory.bare["rss_bytes"] == 1000 + artifact
        assert one.runtime.facts == {"version": f"1.{artifact}"} and one.runtime.notes == {"n": artifact}
        assert len(one.rounds) == 6 and len(one.warmup) == 1
    assert (first.runtime.name, second.runtime.name) == ("onnxruntime", "litert")
    assert first.golden is not None and first.golden.count == 2 and first.golden.agreement_with_host == 1.0
    assert second.golden is None


def test_the_load_of_an_artifact_that_was_measured_alone_is_its_own() -> None:
    lighter = BUSY | {"busy_s": 1.9}
    lines = [*START, *of(0, 50_000), event("load", artifacts=[0], load=lighter)]
    first, second = records([*lines, *of(1, 20_000), event("load", artifacts=[1], load=BUSY), *DONE[1:]])
    assert first.load is not None and first.load.busy_s == 1.9
    assert second.load is not None and second.load.busy_s == 2.2


def test_what_was_not_measured_is_absent() -> None:
    one, _ = records([*START, event("loaded", artifact=0, loaded=LOADED), *DONE])
    assert one.load_ns == 7
    assert (one.golden, one.memory, one.stationary, one.gate_open, one.rounds) == (None, None, None, None, ())


# ------------------------------------------------------------------ outcomes


def failed(stage: str, kind: str, reason: str, signal: str = "") -> dict[str, Any]:
    outcome = {"status": "failed", "stage": stage, "kind": kind, "reason": reason, "signal": signal}
    return event("failed", artifact=0, outcome=outcome)


def test_a_failed_artifact_says_stage_kind_reason_and_signal_and_leaves_the_other_alone() -> None:
    crash = failed("check", "crashed", "SIGFPE during 'load'", "SIGFPE")
    first, second = records([*START, crash, GATE, *of(1, 20_000), *DONE])
    assert msgspec.to_builtins(first.outcome) == {
        "status": "failed",
        "stage": "check",
        "kind": "crashed",
        "reason": "SIGFPE during 'load'",
        "signal": "SIGFPE",
    }
    assert second.outcome.status == "complete"


def test_a_failure_without_a_signal_has_none() -> None:
    wrong = failed("check", "wrong", "relative error 1")
    assert records([*START, wrong, *DONE])[0].outcome.signal == ""


def test_without_an_end_line_the_agent_died_and_what_it_had_measured_is_kept() -> None:
    first, second = records([*START, *of(0, 50_000), GATE, *of(1, 20_000, rounds=2)], agent_died="Out of memory")
    assert (first.outcome.status, first.outcome.reason) == ("agent-died", "Out of memory")
    assert (len(first.rounds), len(second.rounds)) == (6, 2)
    assert first.facts_after is None


@pytest.mark.parametrize("last_words", [None, ""])
def test_an_agent_that_died_without_a_word_has_a_reason_all_the_same(last_words: str | None) -> None:
    (first, _) = records(START, agent_died=last_words)
    assert first.outcome.reason == "the agent's process ended without a last line"


def test_an_artifact_that_had_failed_before_the_agent_died_is_failed() -> None:
    hung = failed("warm_up", "timeout", "no answer")
    first, second = records([*START, hung], agent_died="Killed")
    assert (first.outcome.status, second.outcome.status) == ("failed", "agent-died")


def test_a_stopped_job_says_after_how_many_rounds() -> None:
    lines = [*START, *of(0, 50_000, rounds=4), *of(1, 20_000, rounds=3), AFTER, ended("stopped", 0)]
    first, second = records(lines)
    assert (first.outcome.status, first.outcome.reason) == ("stopped", "stopped by the user after 4 rounds")
    assert second.outcome.reason == "stopped by the user after 3 rounds"


def ended(status: str, *complete: int) -> dict[str, Any]:
    return event("end", status=status, complete=complete)


def test_a_spent_budget_is_held_against_the_imprecise_artifact_only() -> None:
    first, second = records([*START, *of(0, 50_000), *of(1, 20_000), AFTER, ended("budget", 1)])
    assert (first.outcome.status, first.outcome.reason) == ("budget", "not within +/-3.0% after 3 s")
    assert second.outcome.status == "complete"


def test_no_round_at_all_is_not_complete() -> None:
    first, _ = records([*START, *of(0, 50_000, rounds=0), AFTER, ended("budget")])
    assert first.outcome.status == "budget"


def test_host_and_agent_agree_on_when_a_job_is_precise(tmp_path: Path) -> None:
    """Rounds of unequal length, whose interval is only just as narrow as the plan asks."""
    plan = msgspec.structs.replace(PLAN, precision=0.0051, seconds_min=0.0)
    many, few = [99_000] * 1000, [100_000] * 10
    seen = {"temperature_c": None, "throttled": None, "clock_hz": None, "missed": None}
    lines = [
        event(
            "round",
            artifact=0,
            values_ns=v,
            round={"number": n, "block": 1, "start_ns": n, "duration_ns": sum(v), **seen},
        )  # fmt: skip
        for n, v in enumerate([few, many] * 5 + [few])
    ]

    spec = {"sha256": "0" * 64, "suffix": ".onnx", "runtime": "onnxruntime"}
    subject = ArtifactRun(0, spec, Store(tmp_path), tmp_path, lambda: False)
    subject.round_medians = [float(line["values_ns"][0]) for line in lines]
    subject.values = sum(len(line["values_ns"]) for line in lines)
    subject.seconds = sum(line["round"]["duration_ns"] for line in lines) / 1e9
    assert subject.is_done(msgspec.to_builtins(plan))
    one, _ = records([*START, *lines, *DONE], plan=plan)
    assert stats.is_enough(one.rounds, plan)
    assert one.outcome.status == "complete"


# ------------------------------------------------------------------ energy

COUNTER = {"sampling": "counter", "period_s": 0.001}
METER = event("meter", meter="rapl", scopes={"cpu_package": ["measured", ""]}, instrument=COUNTER)


def window(artifact: int, number: int, joules: float, meter: str = "rapl") -> dict[str, Any]:
    line = event("energy", artifact=artifact, **_seen(number, joules, meter))
    line["window"]["inferences"] = 10
    return line


def idle(number: int, joules: float, meter: str = "rapl") -> dict[str, Any]:
    return event("idle", **_seen(number, joules, meter))


def _seen(number: int, joules: float, meter: str) -> dict[str, Any]:
    when = {"round": number, "start_ns": 10**9 * number, "duration_s": 1.0}
    return {"window": when, "throttled": None, "readings": {meter: {"cpu_package": {"energy_j": joules}}}}


def with_window(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**line, "window": {**line["window"], **changes}}


def test_energy_windows_go_to_their_artifact_and_idle_windows_to_all() -> None:
    windows = [idle(0, 1.0), window(0, 0, 2.0), window(1, 0, 3.0), idle(1, 1.5), window(0, 1, 4.0), window(1, 1, 5.0)]
    first, second = records([*START, *of(0, 50_000), *of(1, 20_000), METER, *windows, *DONE[2:]])
    for one, joules in ((first, [2.0, 4.0]), (second, [3.0, 5.0])):
        (reading,) = one.energy
        assert (reading.meter, reading.scope, reading.provenance) == ("rapl", "cpu_package", "measured")
        assert [w.energy_j for w in reading.windows] == joules and [w.energy_j for w in reading.idle] == [1.0, 1.5]
        assert [(w.round, w.start_ns) for w in reading.windows] == [(0, 0), (1, 10**9)]
        assert reading.alignment and reading.alignment.method == "same_clock"


def test_a_scope_that_no_sensor_says_has_its_own_provenance() -> None:
    scopes = {"soc_rails": ["measured", ""], "board_input": ["estimated", "by a regression"]}
    meter = event("meter", meter="rpi_pmic", scopes=scopes, instrument={"sampling": "point", "period_s": 0.2})
    said = {"rpi_pmic": {"soc_rails": {"energy_j": 2.0}, "board_input": {"energy_j": 3.0}}}
    line = {**window(0, 0, 0.0), "throttled": 0b101, "readings": said}
    first, _ = records([*START, *of(0, 50_000), *of(1, 20_000), meter, line, *DONE[2:]])
    rails, board = first.energy
    assert (rails.scope, rails.provenance, rails.reason) == ("soc_rails", "measured", "")
    assert (board.scope, board.provenance, board.reason) == ("board_input", "estimated", "by a regression")
    assert board.windows[0].flags == ("undervoltage", "throttled")


def test_what_the_board_reported_in_an_idle_window_is_in_the_reading_too() -> None:
    lines = [METER, {**idle(0, 1.0), "throttled": 0b0001}, window(0, 0, 7.0), idle(1, 1.5)]
    (reading,) = records([*START, *of(0, 50_000), *of(1, 20_000), *lines, *DONE[2:]])[0].energy
    assert reading.idle[0].flags == ("undervoltage",) and reading.all_flags == {"undervoltage"}


def test_how_warm_and_fast_the_device_was_in_its_windows_is_in_the_reading() -> None:
    lines = [
        METER,
        with_window(idle(0, 1.0), temperature_c=40.0),
        with_window(window(0, 0, 7.0), temperature_c=55.5, clock_hz=1_500_000_000),
        with_window(idle(1, 1.5), temperature_c=48.0),
        with_window(window(0, 1, 7.0), clock_hz=1_400_000_000),
    ]
    (reading,) = records([*START, *of(0, 50_000), *of(1, 20_000), *lines, *DONE[2:]])[0].energy
    assert sorted(reading.temperatures_c) == [40.0, 48.0, 55.5]
    assert reading.clocks_hz == (1_500_000_000, 1_400_000_000)
    (silent,) = records([*START, *of(0, 50_000), *of(1, 20_000), METER, window(0, 0, 7.0), *DONE[2:]])[0].energy
    assert silent.temperatures_c == silent.clocks_hz == ()


@pytest.mark.parametrize(
    ("scope", "flags"), [("board_input", ("charging",)), ("battery", ("charging",)), ("cpu_package", ())]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_battery_that_was_charged_is_in_readings_that_it_touches(
    when: str, scope: str, flags: tuple[str, ...]
) -> None:
    lines = [event("meter", meter="rapl", scopes={scope: ["measured", ""]}, instrument=COUNTER)]
    lines += [
        {**idle(0, 1.0), "readings": {"rapl": {scope: {"energy_j": 1.0}}}},
        {**window(0, 0, 7.0), "readings": {"rapl": {scope: {"energy_j": 7.0}}}},
    ]
    facts = event("facts", when=when, facts={"charging": True})
    (reading,) = records([*START, *of(0, 50_000), *of(1, 20_000), *lines, facts, DONE[-1]])[0].energy
    assert reading.flags == flags


def test_a_meter_that_went_away_keeps_its_windows_and_says_why_there_are_no_more() -> None:
    gone = event("meter", meter="rapl", reason="it cannot be read any more")
    lines = [METER, idle(0, 1.0), window(0, 0, 2.0), window(1, 0, 3.0), gone]
    (reading,) = records([*START, *of(0, 50_000), *of(1, 20_000), *lines, *DONE[2:]])[0].energy
    assert (reading.provenance, reading.reason) == ("measured", "it cannot be read any more")
    assert len(reading.windows) == 1


def test_a_meter_whose_windows_never_came_is_unavailable_with_the_reason() -> None:
    first, _ = records([*START, *of(0, 50_000), METER], agent_died="Killed")
    assert (first.energy[0].provenance, first.energy[0].reason) == ("unavailable", "the job ended before its windows")


# ------------------------------------------------------------------ what a device may not say

GOOD = encode([*START, *of(0, 50_000), GATE, *of(1, 20_000), METER, window(0, 0, 2.0), *DONE])


@pytest.mark.parametrize("line", GOOD, ids=lambda line: json.loads(line)["event"])
def test_every_line_is_decoded_strictly(line: bytes) -> None:
    assert journal.decode(line, "here", artifacts=2).n >= 0
    content = json.loads(line)
    with pytest.raises(AgentError, match="colour"):
        journal.decode(json.dumps({**content, "colour": "blue"}).encode(), "here", artifacts=2)
    for key in content.keys() - {"values_ns", "readings"}:  # read when the record is made, see below
        with pytest.raises(AgentError):
            journal.decode(json.dumps({**content, key: [None]}).encode(), "here", artifacts=2)


@pytest.mark.parametrize(
    "line",
    [
        b"Segmentation fault",
        b"",
        b"[]",
        b'{"n":0,"t_ns":1}',
        b'{"n":0,"t_ns":1,"event":"party"}',
        b'{"n":0,"t_ns":1,"event":"end"}',
        b'{"n":0,"t_ns":1,"event":"end","status":"done"',
        b'{"n":0,"t_ns":1,"event":"warm","artifact":0,"stationary":true,"windows":1,"spent_s":NaN}',
    ],
)
def test_a_line_that_does_not_fit_ends_the_run_and_is_shown(line: bytes) -> None:
    with pytest.raises(AgentError, match="target 'board', job 20261120T100000Z-abc") as caught:
        of_lines([*GOOD, line])
    assert repr(line[:200]) in str(caught.value)


def test_a_long_line_is_shown_in_part() -> None:
    with pytest.raises(AgentError) as caught:
        journal.decode(b'{"n":' + b"x" * 100_000, "here", artifacts=2)
    assert len(str(caught.value)) < 600


def test_a_line_with_a_broken_byte_is_an_agent_error() -> None:
    with pytest.raises(AgentError):
        journal.decode(b'{"n":0,"t_ns":1,"event":"end","status":"\xff"}', "here", artifacts=2)


@pytest.mark.parametrize(
    "broken",
    [{"round": {"block": 0}}, {"values_ns": []}, {"values_ns": [0, 5]}, {"values_ns": "many"}, {"artifact": -1}],
    ids=str,
)
def test_a_round_that_cannot_have_been_measured_is_an_agent_error(broken: dict[str, Any]) -> None:
    good = of(0, 50_000)[-1]
    line = {**good, **broken, "round": {**good["round"], **broken.get("round", {})}}
    with pytest.raises(AgentError, match="does not fit the protocol"):
        records([*START, line])


@pytest.mark.parametrize(
    "readings",
    [[], {"rapl": 3}, {"rapl": {"cpu_package": {}}}, {"rapl": {"cpu_package": {"energy_j": "much"}}},
     {"rapl": {"cpu_package": {"energy_j": 1.0, "flags": 7}}}, {"rapl": {"cpu_package": {"energy_j": 1.0, "x": 7}}}],
    ids=str,
)  # fmt: skip
def test_joules_that_cannot_have_been_read_are_an_agent_error(readings: Any) -> None:
    with pytest.raises(AgentError, match="does not fit the protocol"):
        records([*START, METER, {**window(0, 0, 2.0), "readings": readings}])


def test_windows_of_a_meter_that_does_not_say_what_it_is_are_an_agent_error() -> None:
    for meter in ({**METER, "instrument": None}, {**METER, "scopes": {"cpu_package": ["estimated", ""]}}):
        with pytest.raises(AgentError, match="does not fit the protocol .meter rapl"):
            records([*START, meter, window(0, 0, 2.0)])


def test_a_failure_that_does_not_say_how_is_an_agent_error() -> None:
    for outcome in ({"status": "complete"}, {"status": "failed", "kind": ""}):
        with pytest.raises(AgentError, match="a failure that does not say how"):
            records([*START, event("failed", artifact=0, outcome=outcome)])


def test_a_job_of_another_protocol_is_refused_with_what_to_do() -> None:
    old = event("job", id="20261120T100000Z-abc", protocol=1, python="3.11.2")
    with pytest.raises(AgentError, match="speaks protocol 1, not 3. Finish it with that version, or remove its folder"):
        records([old])


def test_text_is_made_plain_and_values_stay_as_they_are() -> None:
    line = {**of(0, 50_000)[-1]}
    line["round"] = {**line["round"], "interrupted": "\x1b[2J"}
    (first, _) = records([*START, line])
    assert first.rounds[0].interrupted == "␛[2J" and first.rounds[0].values_ns == tuple(line["values_ns"])


def test_a_line_of_an_artifact_that_was_not_asked_for_is_an_agent_error() -> None:
    with pytest.raises(AgentError):
        records([*START, *of(0, 50_000), *of(2, 20_000), *DONE])
