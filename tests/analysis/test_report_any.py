"""Whatever records are compared: there is a comparison, and every form of report of it."""

from __future__ import annotations

import io
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from edgebench import compare, plugins
from edgebench.analysis import terminal_report as terminal
from edgebench.errors import UserError
from edgebench.schema.plan import PRESETS
from edgebench.schema.record import FedInput, GoldenCheck, Load, Outcome, Record, Round, Runtime
from tests.support.records import FACTS, failed, make_artifact, make_golden, make_parity, make_reading, make_record

PATIENT = settings(deadline=None, derandomize=True, max_examples=80, suppress_health_check=list(HealthCheck))
FORMS = plugins.names("edgebench.analysis.report")

values = st.lists(st.integers(1, 2**62), min_size=1, max_size=30) | st.lists(st.just(1), min_size=1, max_size=3)
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
outcomes = st.builds(
    Outcome, st.sampled_from(["complete", "budget", "stopped", "failed", "agent-died"]), st.just("check"),
    st.sampled_from(["wrong", "error", "fallback", "crashed", "timeout"]), st.just("why"),
)  # fmt: skip


@st.composite
def rounds(draw: st.DrawFn) -> tuple[Round, ...]:
    paced = draw(st.booleans())
    return tuple(
        Round(
            number * 10**9,
            draw(st.integers(1, 50)),
            tuple(draw(values)),
            number,
            draw(st.none() | st.floats(-40, 120)),
            draw(st.none() | st.integers(0, 0xF000F)),
            draw(st.none() | st.integers(1, 10**10)),
            draw(st.none() | st.integers(1, 10**12)),
            0 if paced else None,
        )
        for number in range(draw(st.sampled_from([0, 1, 2, 6, 8, 25])))
    )


def wrong_golden() -> GoldenCheck:
    golden = make_golden([[0.0, 1.0]])
    output = msgspec.structs.replace(golden.outputs[0], passed=False, relative_error=None)
    return msgspec.structs.replace(golden, passed=False, outputs=(output,))


@st.composite
def records(draw: st.DrawFn) -> Record:
    name = draw(st.sampled_from(["net-onnx-fp32", "net-onnx-int8", "other-tflite-fp32"]))
    parity = draw(st.none() | st.builds(make_parity, st.just("test"), st.sampled_from([0, 1, 2000]), st.floats(0, 1)))
    changes: dict[str, Any] = {
        "target": draw(st.sampled_from(["desk", "pi"])),
        "emulated": draw(st.booleans()),
        "job": draw(st.sampled_from(["a", "b"])),
        "created": draw(st.sampled_from(["20261120T100000Z", "20261120T110000.000Z", "", "long ago"])),
        "facts": msgspec.structs.replace(FACTS, browser=draw(st.none() | st.just("Chrome 140"))),
    }
    if draw(st.integers(0, 4)) == 0:
        return failed(name, **changes)
    return make_record(
        make_artifact(name, content=draw(st.sampled_from(["x", "y"])), accuracy=0.5).__class__(
            **{**msgspec.structs.asdict(make_artifact(name)), "parity": parity}
        ),
        **changes,
        rounds=draw(rounds()),
        outcome=draw(outcomes),
        plan=draw(st.sampled_from(PRESETS)),
        golden=draw(st.none() | st.just(make_golden([[1.0, 0.0]]))
            | st.just(wrong_golden())),
        energy=draw(st.sampled_from([(), (make_reading(),), (make_reading(active_w=(5.0,)),),
                                     (make_reading(idle_w=9.0), make_reading(meter="hwmon", scope="board"))])),
        runtime=Runtime(draw(st.sampled_from(["onnxruntime", "litert", "benchmark-model"]))),
        fed=draw(st.just(()) | st.lists(st.builds(FedInput, st.just("x"), shapes, st.just("float32")), max_size=2)
            .map(tuple)),
        memory=None if draw(st.booleans()) else make_record().memory,
        load=draw(st.none() | st.just(Load(1.0, 1.0, 2.0, 0.0, {"0": {}}))),
        facts_after=draw(st.none() | st.just(FACTS)),
    )  # fmt: skip


@PATIENT
@given(
    st.lists(records(), min_size=1, max_size=5),
    st.sampled_from([None, "net-onnx-fp32", "pi/net-onnx-int8"]),
    st.none() | st.just(300.0),
)
def test_every_mixture_of_records_has_a_report_in_every_form(
    made: list[Record], baseline: str | None, intensity: float | None
) -> None:
    try:
        comparison = compare.compare(made, baseline=baseline, terms=compare.Terms(intensity_g_per_kwh=intensity))
    except UserError:
        assert baseline is not None
        return
    assert len(comparison.rows) == len(made)
    assert len({(row.name, row.record.target.name) for row in comparison.rows}) == len(made)
    assert all(row.ratio is None for row in comparison.rows if row.verdict.level == "invalid")
    for form in FORMS:
        assert plugins.load("edgebench.analysis.report", form, kind="report").render(comparison)
    terminal.show(comparison, Console(width=80, file=io.StringIO()), verbose=True)
