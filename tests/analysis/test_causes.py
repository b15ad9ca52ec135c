"""Causes that are planted are found and named; where none is planted none is claimed."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest

from edgebench import compare
from edgebench.analysis import causes, explanation_report, same_again, stats
from edgebench.analysis.causes import conversions, deadline, evidence
from edgebench.analysis.causes.evidence import Evidence, Wanted
from edgebench.analysis.causes.explanation import Explanation
from edgebench.analysis.report.sections import commands
from edgebench.energy.carbon import Grid
from edgebench.schema import plan
from edgebench.schema.energy_reading import Accuracy, EnergyReading
from edgebench.schema.layer_times import LayerTimes
from edgebench.schema.peak import Peak, PeakRate
from edgebench.schema.record import Record, Round
from tests.support import planted_causes as planted
from tests.support.planted_causes import FAST_X86, FLOAT, INT8, OLD_X86, clean_records, conv, network, pair, pruned_pair
from tests.support.records import FACTS, make_artifact, make_reading, make_record, make_rounds


def explained(records: list[Record], family: str = "int8", **more: object) -> Explanation:
    (found,) = [one for one in causes.explain(Evidence(records, **more)) if one.family == family]  # type: ignore[arg-type]
    return found


def names(found: Explanation) -> list[str]:
    return [cause.name for cause in found.ranked]


def inserted(at: int, *layers: tuple[str, float], without: int = 0) -> list[tuple[str, float]]:
    return [*INT8[:at], *layers, *INT8[at + without :]]


UNFOLDED = inserted(3, ("DequantizeLinear", 30.0), ("Conv", 60.0), ("QuantizeLinear", 30.0), without=1)
ISLAND = inserted(4, ("DequantizeLinear", 30.0), ("HardSigmoid", 20.0), ("Mul", 15.0), ("QuantizeLinear", 30.0))
REDUNDANT = inserted(4, ("DequantizeLinear", 60.0), ("QuantizeLinear", 60.0))
REORDERED = inserted(2, ("Transpose", 60.0), without=0)
REORDERED = [*REORDERED[:5], ("Transpose", 50.0), *REORDERED[5:]]
DYNAMIC = [("ConvInteger" if kind == "QLinearConv" else kind, us * 6) for kind, us in INT8]
NO_GAIN = [(kind, {"QLinearConv": 55.0, "QGemm": 25.0}.get(kind, us)) for kind, us in INT8]


@pytest.mark.parametrize(
    ("int8", "facts", "cause"),
    [
        (UNFOLDED, FAST_X86, "unfolded quantise/dequantise pairs"),
        (REDUNDANT, FAST_X86, "unfolded quantise/dequantise pairs"),
        (ISLAND, FAST_X86, "float islands"),
        (REORDERED, FAST_X86, "layout reorders"),
        (NO_GAIN, OLD_X86, "no dot product"),
        (NO_GAIN, FACTS, "no dot product"),
        (NO_GAIN, FAST_X86, "slow integer kernels"),
        (DYNAMIC, FAST_X86, "dynamic quantisation"),
    ],
)
def test_the_planted_cause_is_the_only_one_named(int8: list[tuple[str, float]], facts: object, cause: str) -> None:
    found = explained(pair(int8, facts=facts))
    assert names(found) == [cause]
    (one,) = found.causes
    assert one.share and 0.05 < one.share < 1 and one.evidence and "edgebench" in one.command or "Ship" in one.command
    assert "INT8 is faster" not in found.answer


def test_the_share_of_a_cause_is_its_part_of_the_time() -> None:
    (one,) = explained(pair(ISLAND)).causes
    whole = sum(us for _, us in ISLAND)
    assert one.share == pytest.approx(95 / whole, rel=1e-6)
    assert "HardSigmoid 1, Mul 1" in one.seen and "of which conversions 60.0 µs" in one.evidence[0]


def test_the_profilers_own_time_is_not_a_cause() -> None:
    """It adds as much to each of many small layers as they take."""
    records = pair(INT8, scale=0.02)
    slow = [(kind, us * 0.02 + 2.0) for kind, us in INT8]
    profiled = msgspec.structs.replace(planted.layer_times(slow), plain_ns=sum(1000 * us * 0.02 for _, us in INT8))
    records[1] = msgspec.structs.replace(records[1], layers=profiled)
    assert names(explained(records)) == []
    assert sum(layer.ns for layer in evidence.timed(records[1])) == pytest.approx(profiled.plain_ns)


def test_work_around_the_layers_and_little_work_in_them() -> None:
    tiny = pair([(kind, us * 1.0) for kind, us in NO_GAIN])
    found = tiny[1].layers
    assert found is not None
    tiny[1] = msgspec.structs.replace(tiny[1], layers=msgspec.structs.replace(found, plain_ns=found.plain_ns * 2))
    assert "too small to matter" in names(explained(tiny))
    large = pair(NO_GAIN, scale=100.0)
    found = large[1].layers
    assert found is not None
    large[1] = msgspec.structs.replace(large[1], layers=msgspec.structs.replace(found, plain_ns=found.plain_ns * 2))
    assert "too small to matter" not in names(explained(large))  # other programs, not the runtime
    other = [("Conv", 20.0), ("Softmax", 100.0), ("Resize", 80.0)]
    records = pair([("QuantizeLinear", 1.0), ("QLinearConv", 9.0), ("Softmax", 105.0), ("Resize", 85.0)], other)
    assert names(explained(records)) == ["little to gain"]


def test_no_cause_is_claimed_of_clean_records() -> None:
    groups = clean_records(30)
    claimed = [
        (one.subject, cause.name)
        for records in groups
        for one in causes.explain(Evidence(records))
        for cause in one.causes
    ]
    assert claimed == []
    alone = [make_record(f"n{number}-onnx-fp32", p50_ns=1e5 * (1 + number)) for number in range(25)]
    assert [one for one in causes.explain(Evidence(alone)) if one.causes] == []
    pruned = [pruned_pair(factor) for factor in (0.5, 0.6, 0.62, 0.7)]
    assert not any(one.causes for records in pruned for one in causes.explain(Evidence(records)))


def test_without_layers_the_processor_or_the_command_that_brings_them() -> None:
    slow = explained(pair(NO_GAIN, facts=OLD_X86, layered=False))
    assert names(slow) == ["no dot product"] and "--no-vnni" in slow.causes[0].command
    unknown = explained(pair(NO_GAIN, layered=False))
    assert unknown.causes == () and "deploy --target board --layers" in unknown.missing[0].command
    told = [msgspec.structs.replace(one, layers=LayerTimes("its package does not say")) for one in pair(NO_GAIN)]
    assert "shows no layers (its package does not say)" in explained(told).missing[0].what


def test_short_sums_and_a_faster_runtime_are_named_where_the_file_is_at_hand() -> None:
    records = pair(NO_GAIN)
    layers = [
        conv(n, f"/{kind.lower()}{n}", 16, products=9)
        for n, (kind, _) in enumerate(NO_GAIN)
        if kind[:3] in ("QLi", "QGe")
    ]
    layers = [one for one in layers if "globalaverage" not in one.name]
    lite = make_record("net-tflite-int8", p50_ns=10_000.0, facts=FAST_X86)
    found = causes.explain(Evidence([*records, lite], {records[1].artifact.sha256: network(*layers)}))
    (one,) = [cause for each in found if each.family == "int8" for cause in each.causes]
    assert one.name == "short sums" and "9 products an output" in one.evidence[0]
    assert one.command == "ship net-tflite-int8: 10.0 µs in litert"


def test_files_from_elsewhere_are_paired_by_their_names_and_what_ran() -> None:
    records = pair(UNFOLDED)
    named = ("detector-onnx-unknown", "detector_int8-onnx-unknown")
    strangers = [
        msgspec.structs.replace(one, artifact=make_artifact(name)) for one, name in zip(records, named, strict=True)
    ]
    assert names(explained(strangers)) == ["unfolded quantise/dequantise pairs"]


def test_stretches_of_float_are_told_apart() -> None:
    layers = planted.layer_times([("Conv", 1.0), *ISLAND]).layers
    found = conversions.stretches(layers)
    assert [(one.place, len(one.inside)) for one in found] == [("begins", 1), ("inside", 2), ("ends", 0)]
    assert conversions.stretches(planted.layer_times(FLOAT).layers) == []


def test_threads_beyond_the_processors() -> None:
    records = pair(INT8, threads=8)
    assert names(explained(records)) == ["threads"]


def pruned_networks(records: list[Record], channels: tuple[int, int], zeros: int = 0) -> dict[str, object]:
    dense = network(conv(1, "/conv0", 32), conv(2, "/conv1", channels[0]))
    thin = network(conv(1, "/conv0", 32, macs=1_000_000), conv(2, "/conv1", channels[1], macs=600_000, zeros=zeros))
    return {one.artifact.sha256: made for one, made in zip(records, (dense, thin), strict=True)}


def test_zeros_that_dense_kernels_multiply() -> None:
    noted = pruned_pair(1.0, macs=(1_000_000, 1_000_000), zeros="800,000 of 1,000,000 parameters are zero (80.0%)")
    found = explained(noted, "pruning")
    assert names(found) == ["dense kernels"] and "80% of the weights are zeros" in found.causes[0].seen
    assert "Pruning changed nothing" in found.answer and "--method channels" in found.causes[0].command


def test_a_layer_that_became_faster_is_not_accused_of_its_channels() -> None:
    before, after = [("Conv", 40.0), ("Conv", 20.0)], [("Conv", 90.0), ("Conv", 10.0)]
    records = [
        msgspec.structs.replace(one, layers=planted.layer_times(layers))
        for one, layers in zip(pruned_pair(1.7), (before, after), strict=True)
    ]
    made = [network(*(conv(number, f"/conv{number}", channels) for number in (0, 1))) for channels in (16, 11)]
    networks = {one.artifact.sha256: each for one, each in zip(records, made, strict=True)}
    found = explained(records, "pruning", networks=networks)
    (cause,) = [one for one in found.causes if one.name == "channels off the kernels' multiple"]
    assert cause.evidence == ("/conv0: 16 channels became 11",) and cause.share == pytest.approx(0.9)


def test_channels_off_the_multiple_and_where_the_time_is() -> None:
    records = pruned_pair(1.7)
    found = explained(records, "pruning", networks=pruned_networks(records, (16, 11)))
    assert names(found) == ["channels off the kernels' multiple"] and "16 became 11" in found.causes[0].seen
    assert "Pruning made it slower" in found.answer and "round_to=16" in found.causes[0].command
    even = pruned_pair(1.2)
    assert names(explained(even, "pruning", networks=pruned_networks(even, (32, 16)))) == []
    timed = [("Conv", 90.0), ("Conv", 10.0)], [("Conv", 90.0), ("Conv", 5.0)]
    elsewhere = [
        msgspec.structs.replace(one, layers=planted.layer_times(list(layers)))
        for one, layers in zip(pruned_pair(0.95), timed, strict=True)
    ]
    found = explained(elsewhere, "pruning", networks=pruned_networks(elsewhere, (32, 16)))
    assert names(found) == ["the time is elsewhere"] and found.causes[0].share == pytest.approx(90 / 95)


def test_leaving_the_blocked_layout_is_seen_in_the_layers() -> None:
    timed = [("ReorderInput", 1.0), ("Conv", 30.0), ("ReorderOutput", 1.0)], [("Conv", 55.0)]
    records = [
        msgspec.structs.replace(one, layers=planted.layer_times(list(layers)))
        for one, layers in zip(pruned_pair(1.7), timed, strict=True)
    ]
    assert names(explained(records, "pruning")) == ["left the blocked layout"]


def rate(best: float) -> PeakRate:
    return PeakRate(best, 0.02, 5, "a probe")


def test_a_layer_that_waits_for_memory_is_named_and_one_at_its_peak_is_not() -> None:
    """At 10 GB/s and 100 GMAC/s: weights of 4 MB take 0.4 ms, 1e6 products 0.01 ms."""
    peaks = (Peak(1, rate(2e11), rate(4e11), rate(1e10)),)
    layers = planted.layer_times([("Conv", 1000.0), ("Gemm", 500.0)])
    record = make_record("net-onnx-fp32", layers=layers, peaks=peaks)
    compute = conv(1, "/conv0", 32, macs=90_000_000)
    memory = msgspec.structs.replace(conv(2, "/gemm1", 32), name="/gemm1", weights_bytes=4_000_000, macs=1_000_000)
    found = explained([record], "roofline", networks={record.artifact.sha256: network(compute, memory)})
    assert names(found) == ["bound by memory"]
    assert "/gemm1" in found.causes[0].seen and "/conv0" not in found.causes[0].seen
    assert found.causes[0].share == pytest.approx(1 / 3) and "100.0 GMAC/s in float" in found.notes[0]
    cached = msgspec.structs.replace(memory, weights_bytes=40_000_000)
    found = explained([record], "roofline", networks={record.artifact.sha256: network(compute, cached)})
    assert names(found) == ["kernels far from the peak"]
    assert any("come from caches" in note for note in found.notes)
    unknown = explained([make_record("net-onnx-fp32", layers=layers)], "roofline")
    assert unknown.causes == () and "--layers" in unknown.missing[0].command


def metered(active_w: float = 5.0, *, offset_w: float = 0.0, **changes: object) -> Record:
    """10 ms an inference, 100 a second: 50 mJ gross, 30 mJ net."""
    watts = tuple(active_w * factor for factor in (0.99, 1.0, 1.01))
    reading = make_reading(active_w=watts, scope="board_input", accuracy=Accuracy(0.01, offset_w, "data sheet"))
    return make_record("net-onnx-fp32", p50_ns=10e6, energy=(reading,), **changes)  # type: ignore[arg-type]


def test_cost_is_the_arithmetic_of_its_joules() -> None:
    wanted = Wanted(battery_wh=37.0, per_second=2.0, grid=Grid("DEU", 381.0, "DEU 2023"))
    found = explained([metered()], "cost", wanted=wanted)
    # 2 W idle + 2 x 30 mJ = 2.06 W: 17.96 h; a million: 50 kJ = 13.9 Wh = 5.29 g.
    assert "18.0 h (17" in found.answer and "2.06 W" in found.answer
    assert "0.0139 kWh" in found.answer and "0.00529 kg" in found.answer
    assert any("waking up" in note for note in found.notes) and "duty:2" in found.missing[0].command
    assert (
        "more than it can do" in explained([metered()], "cost", wanted=Wanted(battery_wh=1.0, per_second=200.0)).answer
    )


def test_a_meters_offset_widens_gross_energy() -> None:
    """1 W of 5 W: no less than 80 % of the rectangular limit, 0.0139 kWh -+ 0.0026."""
    assert "0.0139 kWh (0.0135-0.0143)" in explained([metered()], "cost").answer
    assert "0.0139 kWh (0.0112-0.0166)" in explained([metered(offset_w=1.0)], "cost").answer


def test_energy_at_a_pace_is_not_said_to_be_without_pauses() -> None:
    assert "one after the other" in explained([metered()], "cost").answer
    paced = explained([metered(plan=plan.duty("duty:2"))], "cost").answer
    assert "for a million inferences, 2 a second" in paced and "one after the other" not in paced


def test_wake_energy_is_what_the_pace_costs_more() -> None:
    paced = metered(5.4, plan=plan.duty("duty:2"))
    found = [
        one for one in causes.explain(Evidence([metered(), paced], {}, Wanted(None, 37.0, 2.0))) if one.family == "cost"
    ]
    notes = [" ".join(one.notes) for one in found]
    assert "Waking up costs 4.00 mJ an inference" in notes[0] and "what waking up costs is included" in notes[1]


def test_what_to_type_names_what_is_not_usual_of_these_records() -> None:
    usual = make_record("net-onnx-fp32")
    assert same_again.options([usual, make_record("net-tflite-fp32")]) == []
    other = msgspec.structs.replace(usual, runtime=msgspec.structs.replace(usual.runtime, name="openvino"))
    command = Evidence([other]).deploy(other, options="--layers")
    assert command.startswith("edgebench deploy --target board --runtimes openvino --layers ")
    assert "openvino" not in Evidence([other]).deploy(other, options="--layers --runtimes all")
    swept = [make_record("net-onnx-fp32", threads=threads) for threads in (4, 1)]
    assert same_again.options(swept) == ["--threads", "1,4"] and same_again.options(swept, "--threads 2") == []
    (section,) = commands.sections(compare.compare([other]))
    assert "--runtimes openvino" in section.commands[0]


def test_no_cost_without_measured_energy() -> None:
    modelled = make_reading(provenance="modelled")
    for energy in ((), (modelled,), (EnergyReading("rapl", "unavailable", "no counters"),)):
        record = make_record("net-onnx-fp32", energy=energy)
        found = explained([record], "cost", wanted=Wanted(None, 37.0, 2.0))
        assert " h " not in found.answer and "kWh" not in found.answer and "--energy" in found.missing[0].command


def late_rounds(drawn: random.Random, rounds: int, values: int, share: float, *, clustered: bool) -> list[Round]:
    made = []
    for number in range(rounds):
        own = drawn.betavariate(0.5, 0.5 * (1 - share) / share) if clustered else share
        late = [drawn.random() < own for _ in range(values)]
        made.append(Round(number, 1, tuple(30_000_000 if one else 10_000_000 for one in late), number))
    return made


@pytest.mark.parametrize("clustered", [False, True])
def test_the_bound_of_a_deadline_holds_also_where_late_values_come_together(clustered: bool) -> None:
    drawn = random.Random(7)
    held, loose = 0, []
    for _ in range(300):
        found = deadline.late_share(late_rounds(drawn, 30, 60, 0.05, clustered=clustered), 20e6)
        held += found.bound >= 0.05
        loose.append(found.bound)
    assert held >= 0.93 * 300
    assert sorted(loose)[150] < (0.2 if clustered else 0.09)


def test_a_deadline_in_words() -> None:
    late = [Round(number, 1, (10_000_000,) * 99 + (30_000_000,), number) for number in range(10)]
    record = make_record("net-onnx-fp32", rounds=late)
    found = explained([record], "deadline", wanted=Wanted(20e6, None, 2.0))
    assert (
        "10 of 1,000 inferences took longer than 20.0 ms: P = 1.00 %" in found.answer
        and "72 late an hour" in found.answer
    )
    none = explained([record], "deadline", wanted=Wanted(50e6))
    assert (
        "0 of 1,000" in none.answer and "at most 25.9 %" in none.answer and "only the 10 rounds" in " ".join(none.notes)
    )
    blocked = make_record("net-onnx-fp32", rounds=make_rounds([1e4] * 8, block=10))
    assert "blocks of 10" in explained([blocked], "deadline", wanted=Wanted(50e6)).answer


def test_no_more_are_late_in_an_hour_than_it_can_do() -> None:
    record = make_record("net-onnx-fp32", p50_ns=1e6)
    answer = explained([record], "deadline", wanted=Wanted(0.5e6, per_second=1e6)).answer
    most = 3600e9 * sum(len(one.values_ns) for one in record.rounds) / sum(sum(one.values_ns) for one in record.rounds)
    assert "back to back, because it cannot do 1e+06 a second" in answer and f"{most:,.0f} late an hour" in answer


def test_upper_bounds_are_clopper_and_pearsons() -> None:
    assert deadline.upper_bound(0, 10) == pytest.approx(0.258866, abs=1e-6)
    assert deadline.upper_bound(3, 1000) == pytest.approx(0.00773524, abs=1e-7)
    assert deadline.upper_bound(5, 5) == 1.0


def test_the_answer_has_at_most_five_lines_and_a_next_command() -> None:
    records = [*pair(UNFOLDED), *pair(ISLAND, name="other"), *pruned_pair(1.7)]
    found = causes.explain(Evidence(records, {}, Wanted(20e6, 37.0, 2.0)))
    lines = causes.answer(found, len(records))
    assert len(lines) <= 5 and lines[-1].startswith("Next: ") and "no energy was measured" in lines[0]
    unasked = causes.answer(causes.explain(Evidence(records)), len(records))
    assert len(unasked) <= 5 and "INT8 is slower" in unasked[0] and "Pruning made it slower" in " ".join(unasked)
    assert causes.answer([], 1)[-1].startswith("Next: edgebench deploy")
    tables = explanation_report.tables(found)
    assert {one.title for one in tables} >= {"What pruning brought", "How often it is late"}
    assert stats.latency_ns(records[0].rounds, 0.5) is not None


def test_a_name_that_was_measured_on_two_targets_is_told_with_its_target() -> None:
    here = pair(UNFOLDED)
    there = [msgspec.structs.replace(one, target=msgspec.structs.replace(one.target, name="rpi4")) for one in here]
    lines = " ".join(causes.answer(causes.explain(Evidence([*here, *there])), 4))
    assert "net-onnx-int8 in onnxruntime on rpi4 takes" in lines
    assert "net-onnx-int8 takes" in " ".join(causes.answer(causes.explain(Evidence(here)), 2))


def test_paths_of_files_that_are_not_at_hand_are_not_printed_as_if_they_were() -> None:
    records = [make_record(f"n{number}-onnx-fp32") for number in range(8)]
    assert len({one.artifact.sha256 for one in records}) == 8
    one, many = (Evidence(some).deploy(*some, options="--layers") for some in (records[:1], records))
    assert one.endswith("--layers FILE (of n0-onnx-fp32)") and many.endswith("n5-onnx-fp32 and 2 more)")
    there = Evidence(records[:1], places={records[0].artifact.sha256: "bundles/n0/a.onnx"})
    assert there.deploy(records[0], options="--layers").endswith("--layers bundles/n0/a.onnx")


def test_commands_name_what_they_need() -> None:
    """`prune` and `export` need a network, also where a person has to fill it in."""
    written = "".join(path.read_text("utf-8") for path in Path(causes.__file__).parent.glob("*.py"))
    assert set(re.findall(r"edgebench (?:prune|export)\b (?!NETWORK)[^\s]+", written)) == set()
