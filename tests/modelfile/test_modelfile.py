"""A look into model files before anything is sent: what is read is what onnx and LiteRT read; nothing else passes."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnx import helper as h

from edgebench import modelfile
from edgebench.errors import BadFile
from edgebench.modelfile import Input
from tests.support import odd_models

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("file", ["bundle/onnx-fp32.onnx", "bundle/onnx-int8.onnx", "crash-sigfpe.onnx"])
def test_an_onnx_file_is_read_as_onnx_reads_it(file: str) -> None:
    found = modelfile.read(DATA / file)
    model = onnx.load(str(DATA / file))
    kept = {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in kept]
    assert found is not None and [one.name for one in found.inputs] == [port.name for port in ports]
    for one, port in zip(found.inputs, ports, strict=True):
        dims = port.type.tensor_type.shape.dim
        assert one.shape == tuple(dim.dim_value or dim.dim_param for dim in dims)
    assert found.declared == {entry.key: entry.value for entry in model.metadata_props}


def test_every_kind_of_size_and_type(tmp_path: Path) -> None:
    def only(path: Path) -> Input:
        found = modelfile.read(path)
        assert found is not None
        (one,) = found.inputs
        return one

    path = tmp_path / "x.onnx"
    assert only(odd_models.identity(path, ["batch", None, 0, -1, 7])).shape == ("batch", "", "", "", 7)
    assert only(odd_models.identity(path, [])).shape == ()
    assert only(odd_models.identity(path, None)).shape is None
    assert only(odd_models.identity(path, [1], TensorProto.BFLOAT16)).dtype == "bfloat16"
    sequence = h.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1, 4])
    length = h.make_tensor_value_info("y", TensorProto.INT64, [])
    graph = h.make_graph([h.make_node("SequenceLength", ["x"], ["y"])], "g", [sequence], [length])
    onnx.save(h.make_model(graph, ir_version=8), str(path))
    assert only(path).dtype == "sequence"


def test_a_tflite_file_is_read_as_litert_reads_it(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = odd_models.with_signatures(tmp_path / "two.tflite", {"prefill": 64, "decode": 1})
    found = modelfile.read(path)
    interpreter = Interpreter(str(path))
    assert found is not None and found.subgraphs == 2
    assert {one.name for one in found.signatures} == set(interpreter.get_signature_list())
    for one in found.signatures:
        details = interpreter.get_signature_runner(one.name).get_input_details()
        assert {port.also[0] if port.also else port.name for port in one.inputs} == set(details)
        assert [port.shape for port in one.inputs] == [tuple(detail["shape"]) for detail in details.values()]
    custom = modelfile.read(odd_models.with_operator(tmp_path / "custom.tflite", custom="FlexErf"))
    assert found.custom == () and custom is not None and custom.custom == ("FlexErf",)
    opened = modelfile.read(odd_models.with_shape(tmp_path / "open.tflite", [1, 257, 257, 3], [1, -1, -1, 3]))
    assert opened is not None
    assert (opened.inputs[0].shape, opened.inputs[0].stored) == ((1, "", "", 3), (1, 257, 257, 3))


def zipped(path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return path.read_bytes()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "seen", "remedy"),
    [
        ("a.onnx", LFS, "Git LFS pointer", "git lfs pull"),
        ("a.tflite", LFS, "Git LFS pointer", "git lfs pull"),
        ("a.onnx", b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page", "Download the file itself"),
        ("a.tflite", b"<html>404</html>", "web page", "Download the file itself"),
        ("a.onnx", b"", "it is empty", "download"),
        ("a.onnx", gzip.compress(b"model", mtime=0), "gzip", "Unpack"),
        ("a.onnx", b"\x89HDF\r\n\x1a\n0000", "HDF5", "edgebench export"),
        ("a.onnx", b"\x80\x02}q\x00", "pickle", "edgebench export"),
        ("a.onnx", (DATA / "bundle/tflite-fp32.tflite").read_bytes(), "a TFLite network, not", "Rename it to .tflite"),
        ("a.tflite", (DATA / "bundle/onnx-fp32.onnx").read_bytes(), "an ONNX network, not", "Rename it to .onnx"),
        ("a.onnx", (DATA / "bundle/onnx-fp32.onnx").read_bytes()[:-1], "truncated: 1 bytes are missing", "again"),
        ("a.tflite", (DATA / "bundle/tflite-fp32.tflite").read_bytes()[:-1000], "truncated", "again"),
        ("a.onnx", b"\x08\x08", "not an ONNX network", "again"),
        ("a.pt2", b"hello", "not a program of torch.export", "torch.export.save"),
        ("a.onnx", b"\x40\0\0\0\0\0\0\0" + b'{"w":{}}', ".safetensors", "edgebench export"),
    ],
)
def test_what_is_no_model_is_said_with_what_it_is(
    name: str, content: bytes, seen: str, remedy: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile) as raised:
        modelfile.read(tmp_path / name)
    assert seen in raised.value.seen and remedy in raised.value.remedy


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("archive/data.pkl", "archive/data/0"), "torch.save"),
        (("model.weights.h5", "config.json"), "a Keras file"),
        (("model.onnx",), "a ZIP archive"),
    ],
)
def test_archives_are_told_apart(names: tuple[str, ...], seen: str, tmp_path: Path) -> None:
    content = zipped(tmp_path / "a.onnx", *names)
    with pytest.raises(BadFile, match=seen):
        modelfile.read(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(content[:60])
    with pytest.raises(BadFile, match="ZIP"):
        modelfile.read(tmp_path / "a.onnx")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_never_more_than_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes changed, or cut off, anywhere: read, or refused."""
    source = data.draw(st.sampled_from(["bundle/onnx-int8.onnx", "bundle/tflite-int8.tflite"]))
    content = bytearray((DATA / source).read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, min(len(content), 4000) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged{Path(source).suffix}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        modelfile.read(path)
    except BadFile as refusal:
        assert refusal.seen and refusal.remedy


def test_weights_in_other_files_are_found_wherever_they_hang(tmp_path: Path) -> None:
    """In initializers, in constants, and in the branches of a node."""
    path = odd_models.outside(tmp_path / "a.onnx", "a.weights")
    model = onnx.load(str(path), load_external_data=False)
    inner = numpy_helper.from_array(np.ones(300, "f4"), "c")
    for entry in ("location", "branch.bin"), ("length", "1200"):
        inner.external_data.add(key=entry[0], value=entry[1])
    inner.data_location = TensorProto.EXTERNAL
    inner.ClearField("raw_data")
    branch = h.make_graph([h.make_node("Constant", [], ["c"], value=inner)], "b", [],
                          [h.make_tensor_value_info("c", TensorProto.FLOAT, [300])])  # fmt: skip
    model.graph.node.append(h.make_node("If", ["q"], ["r"], then_branch=branch, else_branch=branch))
    path.write_bytes(model.SerializeToString())
    found = modelfile.read(path)
    assert found is not None and sorted(found.external) == ["a.weights", "branch.bin"]
    with pytest.raises(BadFile, match=rf"branch\.bin, which is not in {tmp_path}"):
        modelfile.companions(path, found)
    (tmp_path / "branch.bin").write_bytes(bytes(1200))
    assert {one.path for one in modelfile.companions(path, found)} == {tmp_path / "a.weights", tmp_path / "branch.bin"}


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "a\nb", ""])
def test_no_file_from_outside_is_taken_along(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(1200))
    assert not modelfile.is_beside(folder / "a.onnx", location)
    (folder / "link").symlink_to(tmp_path / "secret")
    assert not modelfile.is_beside(folder / "a.onnx", "link")


def test_a_cache_of_links_is_as_good_as_the_files(tmp_path: Path) -> None:
    """Caches of downloads keep blobs in one folder, and links to them under the models' names in another."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir(), snapshot.mkdir()
    odd_models.outside(blobs / "aaaa", "model.onnx_data")
    (blobs / "model.onnx_data").rename(blobs / "bbbb")
    (snapshot / "model.onnx").symlink_to("../blobs/aaaa")
    (snapshot / "model.onnx_data").symlink_to("../blobs/bbbb")
    found = modelfile.read(snapshot / "model.onnx")
    assert found is not None
    assert [one.location for one in modelfile.companions(snapshot / "model.onnx", found)] == ["model.onnx_data"]
