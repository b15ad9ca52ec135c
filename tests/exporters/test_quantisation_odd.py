"""INT8 of networks with something odd in them: tensors without numbers, groups, filters that died."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.networks import data
from edgebench.schema import tensors
from edgebench.schema.bundle import TensorSpec
from exporters import ConversionJob, ConvertedFile, Scheme
from exporters.arithmetic.ranges import METHODS, Histogram, chosen
from exporters.tflite_edit import int8
from tests.support.quantised import small as small

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402
from torch import nn  # noqa: E402


class Rolled(nn.Module):
    """By nothing: one of its two halves is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3, 2, 1), nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).relu()
        return self.head(torch.cat([x[:, :, 14:], x[:, :, :14]], 2).mean((2, 3)))


def grouped() -> nn.Module:
    up = nn.ConvTranspose2d(8, 12, 3, 2, 1, output_padding=1, groups=4)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), up, nn.ReLU(), nn.Conv2d(12, 8, 3, 4), nn.Flatten(), nn.Linear(392, 10)
    )


def int8_of(network: nn.Module, images: data.Dataset, folder: Path) -> tuple[ConvertedFile, float]:
    """The file, and how far its answers are from those of the network, in decibels."""
    from exporters import onnx

    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, 1, 28, 28),), str(folder / "net.onnx"), dynamo=False, opset_version=17
        )
    shown = folder / "images.npy"
    np.save(shown, images.train.images[:32])
    schemes = tuple(Scheme(ranges) for ranges in METHODS)
    job = ConversionJob(
        str(folder / "net.onnx"), "onnx", ("int8",), str(folder),
        calibration=str(shown), preprocessing=images.preprocessing, schemes=schemes,
    )  # fmt: skip
    made, *_ = onnx.convert(job)
    prepared = images.preprocessing.apply(images.train.images[:32])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(prepared)).numpy()
    run = onnx.open_artifact(Path(made.file)).run
    return made, tensors.sqnr_db(np.concatenate([run([image[None]])[0] for image in prepared]), wanted)


def test_a_tensor_without_numbers_has_no_range_and_int8_is_made(small: data.Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    _, sqnr_db = int8_of(Rolled(), small, tmp_path)
    assert sqnr_db > 25


@pytest.mark.parametrize("method", METHODS)
def test_what_never_held_a_number_has_any_range(method: str) -> None:
    nothing = Histogram()
    nothing.add(np.zeros((1, 0, 3), np.float32))
    nothing.add(np.full((1, 2), -np.inf, np.float32))
    assert chosen(nothing, method) == (0.0, 0.0)


def test_transposed_convolutions_in_groups_stay_float_and_that_is_said(small: data.Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made, sqnr_db = int8_of(grouped(), small, tmp_path)
    assert sqnr_db > 25
    assert made.notes["always_float"].startswith("/2/ConvTranspose: grouped transposed convolutions")
    assert "/2/ConvTranspose" not in made.layers and "/2/ConvTranspose" not in made.weighted


class Odd(nn.Module):
    """Norms at the image, behind a sum, behind a concatenation, in front of a linear layer; filters that died."""

    def __init__(self) -> None:
        super().__init__()
        self.at_image, self.stem, self.body = nn.BatchNorm2d(1), nn.Conv2d(1, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 1, 1)
        self.of_sum, self.of_both, self.gather = nn.BatchNorm2d(16), nn.BatchNorm2d(32), nn.Conv2d(32, 16, 3, 2, 1)
        self.hidden, self.of_hidden, self.head = nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 10)
        with torch.no_grad():
            for norm in (self.at_image, self.of_sum, self.of_both, self.of_hidden):
                norm.running_mean.uniform_(-1, 1)
                norm.running_var.uniform_(0.2, 2)
                norm.weight.uniform_(0.5, 1.5)
            self.of_both.weight[:4] = 1e-9  # a channel that is only a number
            self.of_both.bias[:4] = 1.5
            self.stem.weight[:4] = 0
            self.stem.bias[:4] = 1.5
            self.head.weight *= 8

    def forward(self, x: Any) -> Any:
        x = self.stem(self.at_image(x)).relu()
        x = self.of_sum(x + self.body(x)).relu()
        x = self.gather(self.of_both(torch.cat([x, self.body(x)], 1)).relu()).relu()
        return self.head(self.of_hidden(self.hidden(x.mean((2, 3))).relu()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning")
def test_norms_and_dead_filters_in_tflite(small: data.Dataset, tmp_path: Path) -> None:
    from exporters import tflite
    from exporters.torch_edit import litert

    torch.manual_seed(0)
    network = Odd().eval()
    float32 = tmp_path / "tflite-fp32.tflite"
    image = TensorSpec("image", (1, 1, 28, 28), "float32", "NCHW")
    litert.convert(network, (image,), (TensorSpec("logits", (1, 10), "float32", "NC"),), float32)
    prepared, told = int8.prepare(float32, tmp_path / "tflite-prepared.tflite")
    assert prepared != float32
    assert "1 into the layers around them" in told and "3 as depthwise convolutions" in told
    kinds = [operator["op_name"] for operator in int8._interpreter(prepared)._get_ops_details()]
    assert not {"MUL", "SUB"} & set(kinds)
    images = small.preprocessing.apply(small.train.images[:32])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).numpy()
    inputs = images.transpose(0, 2, 3, 1)

    def answers(path: Path) -> np.ndarray:
        opened = tflite.open_artifact(path)
        stored = [tensors.to_stored(image[None], opened.inputs[0]) for image in images]
        return np.concatenate([tensors.from_stored(opened.run([one])[0], opened.outputs[0]) for one in stored])

    assert tensors.relative_error(answers(prepared), wanted) < 1e-5
    seen = int8.observe(prepared, ([image[None]] for image in np.ascontiguousarray(inputs)))
    out = tmp_path / "int8.tflite"
    int8.quantise(prepared, out, seen, Scheme("minmax"))
    assert tensors.sqnr_db(answers(out), wanted) > 25
    assert _places_of_weights(out) == {0}

    names, weighted = int8.layers(prepared)
    assert any(name.endswith("(CONCATENATION)") for name in names)
    assert any(name.endswith("(ADD)") for name in names)
    assert any(name.endswith("(MEAN)") for name in names)
    everything = tmp_path / "float.tflite"
    int8.quantise(prepared, everything, seen, Scheme("minmax", names))
    assert tensors.sqnr_db(answers(everything), wanted) > tensors.sqnr_db(answers(out), wanted)
    kinds = [operator["op_name"] for operator in int8._interpreter(everything)._get_ops_details()]
    assert kinds.count("QUANTIZE") <= 2, "what only hands numbers on is float too"


def _places_of_weights(path: Path) -> set[int]:
    """In the flatbuffer, from one boundary of 16 bytes to the next; -1: behind it, where not every runtime looks."""
    from ai_edge_litert import schema_py_generated as schema

    content = np.fromfile(path, np.uint8)
    model = schema.Model.GetRootAs(content.tobytes(), 0)
    found = set()
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if buffer.Offset():
            found.add(-1)
        elif buffer.DataLength() >= 16:
            found.add(buffer._tab.Vector(buffer._tab.Offset(4)) % 16)
    return found
