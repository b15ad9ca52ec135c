"""What holds in every runtime that is installed: files whose weights were changed after their export are never timed as
if right, half precision is named, nothing is left behind, no thread is unrecorded, no network is used.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import drawn_networks
from edgebench import deploy, export, plugins
from edgebench.analysis import computed_precision
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.watched import Watched, watched

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


def planted(made: Path, folder: Path, format_: str, change: Any) -> Path:
    """The artifact of this format alone, with other weights in one layer."""
    shutil.copytree(made, folder)
    known = bundle.load(made)
    artifact = next((one for one in known.artifacts if one.format == format_), None)
    if artifact is None:
        pytest.skip(f"there is no exporter of {format_} files, or it made none")
    weights = drawn_networks.ultralight().state_dict()[LAYER].numpy()
    assert sum(_replaced(folder / one.file, weights, change(weights)) for one in bundle.model_files(artifact)) == 1
    content, *companions = (bundle.file_ref(folder, folder / one.file) for one in bundle.model_files(artifact))
    artifact = msgspec.structs.replace(artifact, content=content, companions=tuple(companions))
    bundle.save(msgspec.structs.replace(known, artifacts=(artifact,)), folder)
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


def measured(folder: Path, runtime: str, plan: Plan, results: Path, **target: Any) -> tuple[Record, Artifact]:
    if importlib.util.find_spec(RUNTIMES[runtime][0]) is None or runtime not in plugins.names(
        "device_agents.python.runtimes"
    ):
        pytest.skip(f"{runtime} is not installed")
    here = Target(name="here", transport="local", runtimes=(runtime,), **target)
    wanted = deploy.artifacts_at([folder])
    (one,) = deploy.deploy(here, wanted, plan, results)
    return one, wanted[0].artifact


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watched(tmp_path / "watched", monkeypatch)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_wrong_layer_is_never_timed(runtime: str, made: Path, tmp_path: Path, tiny_plan: Plan) -> None:
    folder = planted(made, tmp_path / "wrong", RUNTIMES[runtime][1], lambda weights: weights[::-1] * 0.9)
    one, _ = measured(folder, runtime, tiny_plan, tmp_path / "results")
    assert (one.outcome.status, one.outcome.kind, one.rounds) == ("failed", "wrong", ())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_weights_in_half_precision_are_named_so_and_nothing_is_left_behind(
    runtime: str, made: Path, tmp_path: Path, tiny_plan: Plan, watch: Watched
) -> None:
    """Two threads, and a process that the kernel ends when it opens a socket."""
    folder = planted(made, tmp_path / "half", RUNTIMES[runtime][1], lambda weights: weights.astype("f2").astype("f4"))
    one, artifact = measured(folder, runtime, tiny_plan, tmp_path / "results", threads=2, python=watch.python)
    assert (one.runtime.threads, watch.left_behind()) == (2, []) and one.runtime.idle_threads is not None
    found = computed_precision.of(one)
    assert artifact.precision == "fp32" and one.golden is not None and one.golden.passed
    assert "fp16" in found.names and "fp32" not in found.names


def test_the_default_of_a_runtime_is_named_where_a_target_allows_it(
    made: Path, tmp_path: Path, tiny_plan: Plan
) -> None:
    folder = planted(made, tmp_path / "same", "onnx", lambda weights: weights)
    as_named, _ = measured(folder, "openvino", tiny_plan, tmp_path / "results")
    fast, _ = measured(folder, "openvino", tiny_plan, tmp_path / "fast", precision="fast")
    assert str(computed_precision.of(as_named)) == "fp32" and as_named.target.precision == "file"
    found, hint = computed_precision.of(fast), fast.runtime.notes["precision"]["hint"]
    assert fast.rounds and found.asked["precision"] == "fast"
    assert str(found) == {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}[hint]
