"""Networks of unusual structure and with unusual names, end to end; the whole table is benchmarks/strange_networks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import exporters
from benchmarks.strange_networks import files, judging, own
from benchmarks.strange_networks.kinds import Network
from benchmarks.strange_networks.networks import ALL
from edgebench.export import Exported, ExportOptions, export
from edgebench.schema import bundle
from exporters import Scheme

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

NETWORKS = {one.name: one for one in ALL}
FILE = "моя сеть v1.2"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Exported]:
    """Tensors with names of all kinds, one matrix in four products, constants first in two; `моя сеть v1.2.onnx`."""
    folder = tmp_path_factory.mktemp("named")
    network = Network("named", NETWORKS["cosine filter"].make, edit=files.strange_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = network.write(folder / f"{FILE}.onnx")
    given = np.concatenate([sample[0] for sample in network.samples(16, seed=2)])
    np.savez(folder / "inputs.npz", given)
    options = ExportOptions(formats=["onnx-int8", "tflite-int8"], inputs=folder / "inputs.npz")
    return network, export(path, options, out=folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_int8_of_a_file_with_strange_names_is_right(named: tuple[Network, Exported], place: int) -> None:
    network, exported = named
    artifact = exported.bundle.artifacts[place]
    samples = network.samples(8, seed=1)
    file = exported.path / artifact.content.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = judging.judged(file, network, samples, network.answers(samples), "int8")
    assert float(words.split()[0]) > 30


@pytest.mark.slow
def test_it_is_called_as_it_was_given(named: tuple[Network, Exported]) -> None:
    _, exported = named
    assert exported.bundle.model == FILE
    assert [one.name for one in exported.bundle.artifacts] == [f"{FILE}-onnx-int8", f"{FILE}-tflite-int8"]
    assert {spec.name for one in exported.bundle.artifacts for spec in one.inputs} == {"a/b:0"}
    assert bundle.load(exported.path) == exported.bundle


def test_int8_of_conv3d(tmp_path: Path) -> None:
    from exporters.onnx_edit import int8

    network = NETWORKS["Conv3d"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.write(tmp_path / "net.onnx")
    prepared, out = tmp_path / "prepared.onnx", tmp_path / "int8.onnx"
    int8.prepare(tmp_path / "net.onnx", prepared)
    int8.quantise(prepared, out, int8.observe(prepared, network.samples(8, seed=2)), Scheme("minmax"))
    samples = network.samples(8, seed=1)
    assert float(judging.judged(out, network, samples, network.answers(samples), "int8").split()[0]) > 25


@pytest.mark.parametrize("lowest", [-float("inf"), -1e9, -1e4])
def test_masked_scores_stay_float_and_what_is_masked_gets_no_weight(lowest: float, tmp_path: Path) -> None:
    import torch
    from torch import nn

    from exporters.onnx_edit import int8

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.head = nn.Linear(12, 24), nn.Linear(8, 10)
            self.register_buffer("mask", torch.full((20, 20), lowest).triu(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            return self.head((q @ k.transpose(1, 2) + self.mask).softmax(-1) @ v)[:, 0]

    network = Network("masked", Masked, NETWORKS["GRU"].inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.write(tmp_path / "net.onnx")
    prepared, out = tmp_path / "prepared.onnx", tmp_path / "int8.onnx"
    int8.prepare(tmp_path / "net.onnx", prepared)
    seen = int8.observe(prepared, network.samples(64, seed=2))
    int8.quantise(prepared, out, seen, Scheme("minmax"))
    assert int8.left_in_float(prepared, seen).count("Softmax") == 1
    samples = network.samples(8, seed=1)
    assert float(judging.judged(out, network, samples, network.answers(samples), "int8").split()[0]) > 25


def test_every_network_of_the_table_has_a_name_and_a_callable_of_its_own() -> None:
    assert len(ALL) == len({one.name for one in ALL}) >= 60
    for network in ALL:
        module, _, attribute = network.callable.partition(":")
        assert module.startswith("benchmarks.strange_networks.") and "<" not in attribute
    assert own.ROUTES == ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
