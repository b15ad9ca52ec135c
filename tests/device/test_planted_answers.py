"""What holds in every runtime that is installed: files whose weights were changed after their export are never timed as
if right, half precision is named, nothing is left behind, no thread is unrecorded, no network is used.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import drawn_networks
from edgebench import deploy, export, plugins
from edgebench.analysis import computed_precision
from edgebench.schema import bundle
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.watched import Watched, watched

Change = Callable[[np.ndarray], np.ndarray]
LAYER = "network.classifier.weight"
# Where each runtime's library is, and the format that it reads.
RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino", "onnx"), "litert": ("ai_edge_litert", "tflite"),
    "torch": ("torch", "torch"), "ncnn": ("ncnn", "ncnn"), "mnn": ("MNN", "mnn"),
    "executorch": ("executorch", "executorch"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    there = plugins.names("exporters")
    formats = [f"{one}-fp32" for one in dict.fromkeys(kind for _, kind in RUNTIMES.values()) if one in there]
    name = "ultralight"
    options = export.ExportOptions(
        formats, input_shape=drawn_networks.SHAPES[name], inputs=drawn_networks.save_inputs(name, folder / "in.npz")
    )
    return export.export(drawn_networks.source(name), options, out=folder / "bundle").path


def planted(made: Path, folder: Path, format_: str, **changes: Change) -> Path:
    """A bundle with the artifact of this format for each of `changes`, named so, with other weights in one layer."""
    shutil.copytree(made, folder)
    known = bundle.load(made)
    artifact = next((one for one in known.artifacts if one.format == format_), None)
    if artifact is None:
        pytest.skip(f"there is no exporter of {format_} files, or it made none")
    weights = drawn_networks.ultralight().state_dict()[LAYER].numpy()
    changed = []
    for name, change in changes.items():
        files = [
            Path(shutil.copy(made / one.file, folder / f"{name}-{one.file}")) for one in bundle.model_files(artifact)
        ]
        assert sum(_replaced(one, weights, change(weights)) for one in files) == 1
        content, *companions = (bundle.file_ref(folder, one) for one in files)
        changed.append(msgspec.structs.replace(artifact, name=name, content=content, companions=tuple(companions)))
    bundle.save(msgspec.structs.replace(known, artifacts=tuple(changed)), folder)
    return folder


def _replaced(path: Path, before: np.ndarray, after: np.ndarray) -> bool:
    if path.suffix == ".pt2":
        import torch

        program = torch.export.load(path)
        program.state_dict[LAYER].data.copy_(torch.tensor(after))
        torch.export.save(program, path)
        return True
    data = path.read_bytes()
    for layout in (before, before.T):
        old = np.ascontiguousarray(layout).tobytes()
        if data.count(old) == 1:
            new = after if layout is before else after.T
            path.write_bytes(data.replace(old, np.ascontiguousarray(new).tobytes()))
            return True
    return False


def measured(folder: Path, runtime: str, plan: Plan, results: Path, **target: Any) -> dict[str, Record]:
    """By the artifacts' names."""
    if importlib.util.find_spec(RUNTIMES[runtime][0]) is None or runtime not in plugins.names(
        "device_agents.python.runtimes"
    ):
        pytest.skip(f"{runtime} is not installed")
    here = Target(name="here", transport="local", runtimes=(runtime,), **target)
    records = deploy.deploy(here, deploy.artifacts_at([folder]), plan, results)
    return {one.artifact.name: one for one in records}


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watched(tmp_path / "watched", monkeypatch)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrong_layer_is_never_timed_half_precision_is_named_and_nothing_is_left_behind(
    runtime: str, made: Path, tmp_path: Path, tiny_plan: Plan, watch: Watched
) -> None:
    """Two threads, and a process that the kernel ends when it opens a socket."""
    folder = planted(
        made, tmp_path / "planted", RUNTIMES[runtime][1],
        wrong=lambda weights: weights[::-1] * 0.9, half=lambda weights: weights.astype("f2").astype("f4"),
    )  # fmt: skip
    found = measured(folder, runtime, tiny_plan, tmp_path / "results", threads=2, python=watch.python)
    wrong, half = found["wrong"], found["half"]
    assert (wrong.outcome.status, wrong.outcome.kind, wrong.rounds) == ("failed", "wrong", ())
    assert (half.runtime.threads, watch.left_behind()) == (2, []) and half.runtime.idle_threads is not None
    assert half.artifact.precision == "fp32" and half.golden is not None and half.golden.passed
    names = computed_precision.of(half).names
    assert "fp16" in names and "fp32" not in names


def test_the_default_of_a_runtime_is_named_where_a_target_allows_it(
    made: Path, tmp_path: Path, tiny_plan: Plan
) -> None:
    folder = planted(made, tmp_path / "same", "onnx", same=lambda weights: weights)
    as_named = measured(folder, "openvino", tiny_plan, tmp_path / "results")["same"]
    fast = measured(folder, "openvino", tiny_plan, tmp_path / "fast", precision="fast")["same"]
    assert str(computed_precision.of(as_named)) == "fp32" and as_named.target.precision == "file"
    found, hint = computed_precision.of(fast), fast.runtime.notes["precision"]["hint"]
    assert fast.rounds and found.asked["precision"] == "fast"
    assert str(found) == {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}[hint]
