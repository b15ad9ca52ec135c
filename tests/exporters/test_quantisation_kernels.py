"""INT8: the numbers in a file: signs and widths as kernels of processors and boards want them, and its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device_agents.python import facts
from edgebench.export import ExportOptions, export
from edgebench.networks import data
from edgebench.networks.data import Dataset
from edgebench.recommend import counts
from edgebench.schema import checkpoint
from edgebench.schema.targets import Target
from exporters import Kernels
from exporters.pipeline import kernels
from tests.support.quantised import dense as dense
from tests.support.quantised import small as small

DESKTOP = Target("desktop-cpu", "local")
FORMS = {"rpi4": {"u8s8": 100, "s8s8": 92}, "rpi5": {"u8s8": 100, "s8s8": 98}}  # instructions


@pytest.mark.export
@pytest.mark.parametrize("name", ["onnx-int8", "onnx-dynamic-int8"])
def test_weights_of_seven_bits_for_processors_that_cut_off(
    name: str, dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import numpy_helper

    monkeypatch.setattr(data, "load", lambda name: small)
    largest = {}
    for no_vnni in (False, True):
        made = export(dense.path, ExportOptions(formats=[name], no_vnni=no_vnni), out=tmp_path / f"{no_vnni}")
        (artifact,) = made.bundle.artifacts
        tensors = map(numpy_helper.to_array, onnx.load(made.path / artifact.content.file).graph.initializer)
        largest[no_vnni] = max(int(abs(tensor.astype(int)).max()) for tensor in tensors if tensor.dtype == np.int8)
        assert artifact.parity is not None
        assert artifact.parity.top1_agreement > 0.95
        assert ("7 bits" in artifact.notes.get("weights", "")) == no_vnni
    assert largest[False] > 64 >= largest[True]
    assert 2 * 255 * largest[True] < 2**15


@pytest.mark.export
def test_signed_activations_are_the_same_numbers(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes and zero points less 128: for boards on which that is faster; and nowhere channels of zeros."""
    import onnx
    from onnx import numpy_helper

    monkeypatch.setattr(data, "load", lambda name: small)
    monkeypatch.setattr(counts, "of_forms", lambda network: FORMS)
    zeros, agreement = {}, {}
    for board in ("rpi4", "rpi5"):
        made = export(dense.path, ExportOptions(formats=["onnx-int8"], targets=[board]), out=tmp_path / board)
        (artifact,) = made.bundle.artifacts
        assert artifact.parity is not None
        assert artifact.notes["form"].partition(",")[0] == ("s8s8" if board == "rpi4" else "u8s8")
        agreement[board] = artifact.parity.top1_agreement
        graph = onnx.load(made.path / artifact.content.file).graph
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        points = [tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
        zeros[board] = [int(point) for point in points]
        assert {point.dtype for point in points} == {np.dtype(np.int8 if board == "rpi4" else np.uint8)}
    assert zeros["rpi4"] == [zero - 128 for zero in zeros["rpi5"]]
    assert agreement["rpi4"] == pytest.approx(agreement["rpi5"], abs=0.01)


@pytest.mark.parametrize(
    ("places", "no_vnni", "expected"),
    [
        ([], False, Kernels()),
        (["rpi4"], False, Kernels(signed=True, x86=False)),
        (["rpi4", "rpi5"], False, Kernels(x86=False)),  # one of them gains too little
        (["rpi4", DESKTOP], False, Kernels()),  # where part of it would stay in float
        ([DESKTOP], False, Kernels()),
        (["another board"], False, Kernels(x86=False)),
        (["rpi4"], True, Kernels(weight_bits=7)),
    ],
)
def test_the_signs_are_those_of_the_boards(
    places: list[Target | str], no_vnni: bool, expected: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "cuts_off", lambda: False)
    assert kernels.kernels_for(places, FORMS, no_vnni=no_vnni) == expected


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "expected"),
    [
        ("x86_64", "flags\t\t: sse4_2 avx2 avx512f\n", True),
        ("x86_64", "flags\t\t: avx2 avx_vnni\n", False),
        ("x86_64", "flags\t\t: avx2 avx512f avx512_vnni\n", False),
        ("aarch64", "Features\t: asimd asimddp\n", False),
        ("x86_64", None, False),
    ],
)
def test_processors_that_cut_off_are_known(
    machine: str, cpuinfo: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    monkeypatch.setattr(kernels.platform, "machine", lambda: machine)
    if cpuinfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert kernels.cuts_off() == expected


@pytest.mark.export
def test_two_classes_do_not_come_out_equally_large(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    import onnxruntime

    monkeypatch.setattr(data, "load", lambda name: small)
    made = export(dense.path, ExportOptions(formats=["onnx-int8"]), out=tmp_path / "out")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.path / "onnx-int8.onnx", options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    images = dense.about.preprocessing.apply(small.test.images)
    answers = np.concatenate([session.run(None, {source.name: image[None]})[0] for image in images])
    assert answers.dtype == np.float32
    assert len(np.unique(answers)) > 256
    assert ((answers == answers.max(1, keepdims=True)).sum(1) == 1).all()
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds[-1] == "QGemm", "the last layer still multiplies bytes"
    assert "Gemm" not in kinds
