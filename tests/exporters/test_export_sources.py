"""What is known of a source before anything is made of it: sizes left open, weights in other files, zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench import modelfile, pack
from edgebench.errors import BadFile, UserError
from edgebench.export import ExportOptions, export
from edgebench.modelfile import feeding
from edgebench.networks.from_checkpoint import rebuild
from edgebench.prune import prune
from edgebench.schema import checkpoint
from exporters.pipeline import opening
from exporters.pipeline.opening import open_source
from exporters.sources import onnx_file as _onnx_graph
from exporters.sources.source_model import SourceRequest, image_shape
from exporters.workers.process import WorkerPool
from tests.support.export_sources import dense as dense
from tests.support.export_sources import quick as quick
from tests.support.export_sources import small as small
from tests.support.export_sources import tiny as tiny

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


@pytest.fixture
def onnx_file(dense: checkpoint.Checkpoint, tmp_path: Path) -> Path:
    from exporters.onnx import from_checkpoint

    path = tmp_path / "theirs.onnx"
    with pytest.warns(DeprecationWarning):
        from_checkpoint(dense.path, path)
    return path


def opened(path: Path, sizes: dict[int, str], given: tuple[int, int, int] | None = None) -> Any:
    """What is known of the file with these axes of its input left open."""
    import onnx

    from exporters.onnx import open_artifact

    model = onnx.load(path)
    for axis, name in sizes.items():
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, path)
    described = modelfile.read(path)
    assert described is not None
    wanted = opening._of_image(path, described, SourceRequest(str(path), input_shape=given))
    shapes = feeding.settle(path, described, wanted).shapes
    return _onnx_graph.inspect(path, open_artifact, shapes, path.with_name("sized.onnx"))


def test_open_sizes_have_to_be_given(onnx_file: Path) -> None:
    with pytest.raises(
        UserError, match=r"height and width of input \[1, 1, height, width\].*--shape input=1x1x320x320"
    ):
        opened(onnx_file, {2: "height", 3: "width"})
    facts = opened(onnx_file, {}, (1, 28, 28))
    assert (image_shape(facts.inputs), facts.macs) == ((1, 28, 28), 342_464)
    import onnx

    dims = onnx.load(onnx_file.with_name("sized.onnx")).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == [1, 1, 28, 28]


def test_a_size_that_is_not_the_files(onnx_file: Path) -> None:
    assert image_shape(opened(onnx_file, {}, (1, 28, 28)).inputs) == (1, 28, 28)
    assert not onnx_file.with_name("sized.onnx").exists(), "it says its size itself"
    with pytest.raises(UserError, match="3x28x28 does not fit"):
        opened(onnx_file, {}, (3, 28, 28))


def test_a_file_of_any_size_is_exported_at_one(onnx_file: Path, dense: checkpoint.Checkpoint) -> None:
    with pytest.raises(UserError):
        opened(onnx_file, {2: "h", 3: "w"})
    made = export(
        onnx_file,
        ExportOptions(input_shape=(1, 28, 28), calibration="fashion-mnist-mini", formats=["onnx-fp32"]),
        out=onnx_file.with_name("out"),
    )
    (artifact,) = made.bundle.artifacts
    assert artifact.inputs[0].shape == (1, 1, 28, 28)
    assert artifact.parity is not None
    assert artifact.parity.parent_accuracy == dense.about.metrics.accuracy


def test_weights_in_other_files_are_part_of_the_network(tiny: Path) -> None:
    import onnx

    from exporters.onnx import open_artifact

    digests = set()
    for number in (1, 2):
        model = onnx.load(tiny)
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32) * number, "w"))
        path = tiny.with_name("external.onnx")
        path.with_name("weights.bin").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        digests.add(_onnx_graph.inspect(path, open_artifact, (), tiny.with_name("sized.onnx")).sha256)
    assert len(digests) == 2


def test_weights_in_a_constant_of_another_file_are_part_of_the_network(tmp_path: Path) -> None:
    """Not in an initializer: the file that is written has them, and another content is another network."""
    import onnx
    from onnx import TensorProto, helper

    from exporters.onnx import _copy, open_artifact

    digests = set()
    for number in (1.0, 2.0):
        held = onnx.numpy_helper.from_array(np.full((10, 4), number, "f4"), "w")
        nodes = [helper.make_node("Constant", [], ["w"], value=held), helper.make_node("MatMul", ["x", "w"], ["y"])]
        ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, size]) for n, size in (("x", 10), ("y", 4))]
        model = helper.make_model(
            helper.make_graph(nodes, "g", ports[:1], ports[1:]),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        path = tmp_path / "theirs.onnx"
        (tmp_path / "w.bin").unlink(missing_ok=True)
        onnx.save(
            model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0, convert_attribute=True
        )
        digests.add(_onnx_graph.inspect(path, open_artifact, {}, tmp_path / "sized.onnx").sha256)
        _copy(path, tmp_path / "whole.onnx")
        whole = open_artifact(tmp_path / "whole.onnx")
        assert (whole.run([np.ones((1, 10), "f4")])[0] == 10 * number).all()
    assert len(digests) == 2
    (tmp_path / "w.bin").unlink()
    with pytest.raises(BadFile, match=rf"w\.bin, which is not in {tmp_path}"):
        export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (4, 10)])
def test_a_fixed_batch_is_said_with_its_number(shape: tuple[int, ...], tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from exporters.onnx import open_artifact

    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in (("x", shape), ("y", (4, int(np.prod(shape[1:])))))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    path = tmp_path / "four.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(UserError, match=r"its batch size is fixed at 4\. Export it with a batch of 1, or an open one"):
        _onnx_graph.inspect(path, open_artifact, {}, tmp_path / "sized.onnx")


@pytest.mark.slow
def test_zeros_are_counted_and_what_leaving_them_out_would_save(dense: checkpoint.Checkpoint, tmp_path: Path) -> None:
    pruned = prune(
        dense.path, method="l1-global", ratio=0.5, finetune=0, out=tmp_path / "pruned.safetensors"
    ).checkpoint
    made = export(pruned.path, ExportOptions(formats=["torch-fp32"]), out=tmp_path / "out")
    zeros = sum(int((one == 0).sum()) for one in rebuild(pruned).parameters())
    assert zeros > 50_000
    packed = pack.sizes(pruned.path, ["bitmask"])[1].file_bytes
    note = made.bundle.artifacts[0].notes["zeros"]
    assert note.startswith(f"{zeros:,} of 101,930 parameters are zero")
    assert f"{packed:,} bytes" in note
    assert open_source(SourceRequest(str(dense.path)), tmp_path, WorkerPool(tmp_path)).zeros_note == ""
