"""A user's own benchmark_model: sent over the cable, run there, its output read, its rows marked as means."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device_agents.python.process import WorkerFailed
from device_agents.python.runtimes import benchmark_model
from edgebench import compare, deploy
from edgebench.analysis import stats, verdict
from edgebench.analysis.report import csv, html, markdown
from edgebench.device import target_check
from edgebench.errors import UserError
from edgebench.modelfile import feeding
from edgebench.progress import Silent
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support import odd_models
from tests.support.cable import needs_adb

# What the tool prints, with its warm-up; 250 us an inference, and the first of a process 900 us.
TOOL = """\
#!/bin/sh
for word; do case $word in --num_runs=*) runs=${word#*=};; --graph=*) graph=${word#*=};; esac; done
[ -s "$graph" ] || { echo "ERROR: Failed to load model $graph" >&2; exit 1; }
echo "$@" >> "$0.log"
if [ "$runs" = 1 ]; then counted="count=1 curr=250"
else counted="count=$runs first=260 curr=249 min=240 max=300 avg=250.5 std=9 p5=241 median=250 p95=280"; fi
cat <<END
INFO: STARTING!
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=37 first=900 curr=252 min=244 max=900 avg=271.3 std=96

INFO: Running benchmark for at least $runs iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: $counted

INFO: Inference timings in us: Init: 12750, First inference: 900, Warmup (avg): 271.3, Inference (avg): 250.5
END
"""


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "given-by-the-user"
    path.write_text(TOOL)
    return path


def on_cable(tool: Path) -> Target:
    """Two runtimes: .onnx files are still measured natively."""
    return Target(
        name="pixel", transport="adb", python=sys.executable, runtimes=("benchmark-model", "onnxruntime"),
        benchmark_model=str(tool),
    )  # fmt: skip


def here(tool: Path) -> Target:
    return Target(name="here", transport="local", runtimes=("benchmark-model",), benchmark_model=str(tool))


def measure(target: Target, path: Path, plan: Plan, tmp_path: Path) -> list[Record]:
    return deploy.deploy(target, deploy.artifacts_at([path]), plan, tmp_path / "results")


@needs_adb
def test_the_tool_goes_over_the_cable_and_its_rows_are_means(
    tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, phone: Path, plug_in: Callable[..., str]
) -> None:
    plug_in()
    native, own = measure(on_cable(tool), relu_bundle, tiny_plan, tmp_path)
    assert own.runtime.name == "benchmark-model" and own.outcome.status == "complete", own.outcome
    assert own.runtime.facts == {"version": "sha256 " + hashlib.sha256(tool.read_bytes()).hexdigest()[:12]}
    assert own.runtime.notes == {"said_of_delegates": ["INFO: Created TensorFlow Lite XNNPACK delegate for CPU."]}
    assert (own.load_ns, own.first_inference_ns) == (12_750_000, 900_000)
    # A round is one run: 20 ms of 250 us are 80 inferences, and their mean is the only value.
    assert len(own.rounds) >= 3 and {(one.block, one.values_ns) for one in own.rounds} == {(80, (80 * 250_500,))}
    assert own.golden is None and own.memory is None and own.means_only and not native.means_only
    (asked,) = {line for log in phone.rglob("benchmark_model.log") for line in log.read_text().splitlines()[-1:]}
    assert "--num_threads=1 --num_runs=80 --min_secs=0" in asked
    assert native.runtime.name == "onnxruntime" and native.golden is not None


def test_what_it_says_is_never_shown_as_a_native_latency(
    tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    (native,) = measure(Target(name="here", transport="local", runtimes=("litert",)), relu_bundle, tiny_plan, tmp_path)
    (own,) = measure(here(tool), relu_bundle, tiny_plan, tmp_path)
    (reason, *_) = verdict.judge(own).reasons
    assert reason.level == "suspect" and "benchmark_model timed itself" in reason.seen and "litert" in reason.remedy
    compared = compare.compare([native, own])
    row = compared.rows[1]
    assert row.p50_ns is not None and row.p50_ns.value == 250_500 and (row.p90_ns, row.p99_ns) == (None, None)
    assert "runs: in benchmark_model (means), baseline natively" in row.differences
    assert stats.values_count(own.rounds) == 80 * len(own.rounds)
    text = markdown.render(compared)
    assert "here (benchmark_model, means)" in text and "p50 is the median of its rounds' means" in text
    assert "was timed by benchmark_model, supplied by the user" in html.render(compared)
    assert ",benchmark-model," in csv.render(compared)


@pytest.mark.parametrize(
    ("tool_text", "kind", "reason"),
    [
        ("echo nonsense", "error", "printed no readable result; last words: nonsense"),
        ("true", "error", "printed no readable result; it printed nothing"),
        ("echo no such op; exit 7", "error", "ended with exit code 7; last words: no such op"),
        ("echo deep; kill -SEGV $$", "crashed", "SIGSEGV in benchmark_model; last words: deep"),
    ],
)
def test_a_tool_that_breaks_in_the_middle_fails_its_artifact_and_keeps_what_it_had(
    tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, tool_text: str, kind: str, reason: str
) -> None:
    """From the third round on; each is one run of 80 inferences."""
    breaks = f'[ "$(grep -c -e --num_runs=80 "$0.log")" -lt 3 ] || {{ {tool_text}; exit; }}\ncat <<END'
    tool.write_text(TOOL.replace("cat <<END", breaks))
    plan = msgspec.structs.replace(tiny_plan, rounds_min=40, seconds_max=60.0)
    (own,) = measure(here(tool), relu_bundle, plan, tmp_path)
    assert (own.outcome.status, own.outcome.kind) == ("failed", kind) and reason in own.outcome.reason
    assert len(own.rounds) == 2 and own.outcome.stage == "measure_round" and verdict.judge(own).level == "invalid"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("\x7fELF of another machine", "does not start on this device: Exec format error"),
        ("#!/bin/sh\necho usage: tool\n", "printed no readable result; last words: usage: tool"),
    ],
)
def test_a_tool_that_does_not_run_there_is_said_before_anything_is_measured(
    tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, program: str, reason: str
) -> None:
    tool.write_text(program)
    with pytest.raises(UserError, match="benchmark-model: benchmark_model " + reason):
        measure(here(tool), relu_bundle, tiny_plan, tmp_path)


def test_a_tool_that_is_not_there(tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist. Correct `benchmark_model` in targets.yaml"):
        measure(here(tmp_path / "nowhere"), relu_bundle, tiny_plan, tmp_path)
    without = msgspec.structs.replace(here(tool), benchmark_model="")
    with pytest.raises(UserError, match="give its file as `benchmark_model` in targets.yaml"):
        measure(without, relu_bundle, tiny_plan, tmp_path)
    told = "\n".join(target_check.check(here(tool), progress=Silent()).lines())
    assert "benchmark-model not installed; `edgebench deploy` installs it" in told


@pytest.mark.parametrize(
    ("what", "said"),
    [({"energy_windows": 2}, "energy"), ({"duty_hz": 5.0}, r"a rate \(duty:N\)")],
)
def test_what_it_cannot_tell_is_refused(
    tool: Path, relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, what: dict[str, float], said: str
) -> None:
    plan = msgspec.structs.replace(tiny_plan, **what)
    sources = [one for one in deploy.artifacts_at([relu_bundle]) if one.artifact.format == "tflite"]
    with pytest.raises(UserError, match=f"benchmark-model reports times only, but {said} was requested"):
        deploy.deploy(here(tool), sources, plan, tmp_path / "results")


RUN = "Running benchmark for at least 1 iterations and at least 0.5 seconds\n"


@pytest.mark.parametrize(
    ("line", "mean"),
    [
        ("count=50 first=249 curr=250 min=247 max=254 avg=249.68 std=1", 249.68),
        ("I tflite  : count=50 first=1 curr=1 min=1238588 max=1252566 avg=1.24027e+06 std=2565", 1.24027e6),
        ("count=50 curr=66", 66),
        ("count=50 curr=66 (all same)", 66),
    ],
)
def test_every_form_of_its_result_is_read(line: str, mean: float) -> None:
    assert benchmark_model.mean_us(f"{RUN}count=9 curr=1\n{RUN}{line}\n", 50) == mean


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{RUN}count=50 curr=66\n", "printed no readable result"),  # the warm-up only
        (f"{RUN}count=9 curr=1\n{RUN}", "printed no readable result"),
        (f"{RUN}count=9 curr=1\n{RUN}count=12 curr=66\n", "ran 12 of 50 inferences"),
        (f"{RUN}count=9 curr=1\n{RUN}count=50 first=1 min=5 max=9 avg=nan std=1\n", "an impossible mean"),
        (f"{RUN}count=9 curr=1\n{RUN}count=50 first=1 min=5 max=9 avg=12 std=1\n", "an impossible mean"),
    ],
)
def test_garbled_results_are_none(text: str, reason: str) -> None:
    with pytest.raises(WorkerFailed, match=reason):
        benchmark_model.mean_us(text, 50)


def test_the_tool_is_told_the_sizes_and_the_signature(tool: Path, tiny_plan: Plan, tmp_path: Path, cache: Path) -> None:
    path = odd_models.with_shape(tmp_path / "open.tflite", [1, 1, 1, 3], [-1, -1, -1, 3])
    target = here(tool)
    wanted = deploy.artifacts_at([path], feeding.parse_request(["x=1x8x6x3"]))
    (one,) = deploy.deploy(target, wanted, tiny_plan, tmp_path / "results")
    assert one.outcome.status in ("complete", "budget"), one.outcome
    (log,) = cache.rglob("benchmark_model.log")
    assert all("--input_layer=x --input_layer_shape=1,8,6,3" in line for line in log.read_text().splitlines()[-3:])
    options = {"shapes": {"ids": [1, 8], "mask": [1, 8]}, "signature": "decode"}
    assert benchmark_model._fed(options) == [
        "--input_layer=ids,mask", "--input_layer_shape=1,8:1,8", "--signature_to_run_for=decode",
    ]  # fmt: skip
