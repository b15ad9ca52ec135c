"""Files as users have them, through the real agent on this machine: open sizes, several graphs, external weights."""

from __future__ import annotations

import array
import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import TensorProto

from device_agents.python.runtimes import litert, onnxruntime
from device_agents.python.store import Store
from edgebench import deploy
from edgebench.device import job_store
from edgebench.errors import BadFile, UserError
from edgebench.modelfile import feeding
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, Bundle, Golden
from edgebench.schema.plan import Plan, with_accuracy
from edgebench.schema.record import FedInput, Record
from edgebench.schema.targets import Target
from tests.support import odd_models

HERE = Target(name="here", transport="local")
CPU = {"threads": 1, "device": "cpu"}


def measure(
    what: list[Path], plan: Plan, results: Path, *shapes: str, signature: str = "", target: Target = HERE
) -> list[Record]:
    wanted = deploy.artifacts_at(what, feeding.parse_request(shapes, signature))
    return deploy.deploy(target, wanted, plan, results)


def assert_timed(one: Record) -> None:
    assert one.outcome.status in ("complete", "budget"), one.outcome
    assert one.rounds


def test_what_was_fed_is_in_the_record(tiny_plan: Plan, tmp_path: Path) -> None:
    files = [
        odd_models.detector(tmp_path / "a.onnx"),
        odd_models.detector(tmp_path / "b.onnx", metadata={"imgsz": "[16, 24]"}),
        odd_models.with_shape(tmp_path / "c.tflite", [1, 1, 1, 3], [-1, -1, -1, 3]),
        odd_models.text_model(tmp_path / "d.onnx"),
    ]
    found = measure([files[0], *files[2:]], tiny_plan, tmp_path / "r", "image=1x3x32x48", "x=1x8x6x3", "input_ids=2x5")
    for one in found:
        assert_timed(one)
    image, tflite, text = (one.fed for one in found)
    assert image == (FedInput("image", (1, 3, 32, 48), "float32"),)
    assert tflite == (FedInput("x", (1, 8, 6, 3), "float32"),)
    assert text == (FedInput("input_ids", (2, 5), "int64"), FedInput("attention_mask", (2, 5), "int64"))
    assert found[2].batch == 2
    (declared,) = measure([files[1]], tiny_plan, tmp_path / "r")
    assert declared.fed == (FedInput("image", (1, 3, 16, 24), "float32"),)


def test_the_agent_refuses_what_the_host_did_not_see(tmp_path: Path) -> None:
    for runtime, path in (
        (onnxruntime, odd_models.detector(tmp_path / "a.onnx")),
        (litert, odd_models.with_shape(tmp_path / "c.tflite", [1, 1, 1, 3], [-1, -1, -1, 3])),
    ):
        with pytest.raises(ValueError, match=r"leaves sizes open, \[(batch|\?), .*\]: give them with --shape"):
            runtime.load(str(path), CPU)
        with pytest.raises(ValueError, match=r"is \[.*\], not \[1, 4, 8, 9\]"):
            runtime.load(str(path), {**CPU, "shapes": {"image": [1, 4, 8, 9], "x": [1, 4, 8, 9]}})


def test_another_shape_is_another_job(tiny_plan: Plan, tmp_path: Path) -> None:
    path = odd_models.detector(tmp_path / "a.onnx")
    keys = set()
    for shape in ("image=1x3x8x8", "image=1x3x8x9"):
        (source,) = deploy.artifacts_at([path], feeding.parse_request([shape]))
        keys.add(job_store.job_key(HERE, tiny_plan, [source.artifact], "agent", [source.feeding.options]))
    assert len(keys) == 2


def test_of_several_signatures_the_one_that_ran_is_said_and_chosen(tiny_plan: Plan, tmp_path: Path) -> None:
    path = odd_models.with_signatures(tmp_path / "llm.tflite", {"prefill": 64, "decode": 1})
    (first,) = measure([path], tiny_plan, tmp_path / "results")
    (other,) = measure([path], tiny_plan, tmp_path / "results", signature="decode")
    assert_timed(first), assert_timed(other)
    assert (first.signature, first.fed[0].shape) == ("prefill", (1, 64))
    assert (other.signature, other.fed[0].shape) == ("decode", (1, 1))
    (source,) = deploy.artifacts_at([path])
    assert source.feeding.remarks == (
        "llm.tflite: its signature 'prefill' is run, of decode, prefill; --signature chooses",
    )


def test_of_several_graphs_without_signatures_the_main_one_is_run_and_said(tiny_plan: Plan, tmp_path: Path) -> None:
    path = odd_models.with_signatures(tmp_path / "two.tflite", {"a": 64, "b": 1}, named=False)
    (one,) = measure([path], tiny_plan, tmp_path / "results")
    assert (one.signature, one.fed[0].shape) == ("main graph of 2", (1, 64))
    assert deploy.artifacts_at([path])[0].feeding.remarks == ("two.tflite: its main graph is run, of 2",)


def test_a_file_of_one_signature_does_not_need_to_say_so(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    (one,) = measure([models / "relu.tflite"], tiny_plan, tmp_path / "results")
    assert one.signature == ""


@pytest.mark.parametrize("code", [TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64])
def test_whole_numbers_of_any_size_are_fed(code: int, tmp_path: Path) -> None:
    session = onnxruntime.load(str(odd_models.identity(tmp_path / "a.onnx", [1, 4], code)), CPU)
    (spec,) = session.inputs()
    session.feed(0, np.arange(4, dtype=spec["dtype"]).tobytes())
    session.invoke()
    assert session.arrays()[0].ravel().tolist() == [0, 1, 2, 3]


def test_a_bundle_is_fed_other_sizes_without_its_golden_inputs(tiny_plan: Plan, tmp_path: Path) -> None:
    """Its ONNX files take any number of images; each golden input has one."""
    found = deploy.artifacts_at([Path(__file__).parents[1] / "data/bundle"], feeding.parse_request(["input=4x1x28x28"]))
    onnx_fp32 = next(one for one in found if one.artifact.name.endswith("onnx-fp32"))
    others = [one for one in found if one.artifact.format == "tflite"]
    assert onnx_fp32.artifact.golden is None and all(one.artifact.golden for one in others)
    assert "its outputs are not checked" in onnx_fp32.feeding.remarks[0]
    (one,) = deploy.deploy(HERE, [onnx_fp32], tiny_plan, tmp_path / "results")
    assert_timed(one)
    assert one.batch == 4 and one.golden is None
    with pytest.raises(UserError, match="--accuracy: --shape gives .* other sizes than those of its test images"):
        deploy.deploy(HERE, [onnx_fp32], with_accuracy(tiny_plan), tmp_path / "results")


def test_an_input_may_be_empty_or_have_no_sizes_in_the_file(tmp_path: Path) -> None:
    """A decoder's cache is empty at first."""
    node = odd_models.h.make_node("Concat", ["past", "x"], ["y"], axis=1)
    ports: list[odd_models.Port] = [
        ("past", TensorProto.FLOAT, ["batch", "past", 4]),
        ("x", TensorProto.FLOAT, ["batch", 1, 4]),
    ]
    path = odd_models.onnx_file(tmp_path / "a.onnx", [node], ports, [("y", TensorProto.FLOAT, ["batch", None, 4])])
    (source,) = deploy.artifacts_at([path], feeding.parse_request(["past=1x0x4"]))
    session = onnxruntime.load(str(path), {**CPU, **source.feeding.options})
    for index, spec in enumerate(session.inputs()):
        session.feed(index, bytes(spec["bytes"]))
    session.invoke()
    assert [spec["shape"] for spec in session.inputs()] == [[1, 0, 4], [1, 1, 4]] and session.arrays()[0].size == 4
    path = odd_models.identity(tmp_path / "b.onnx", None)
    assert onnxruntime.load(str(path), {**CPU, "shapes": {"x": [1, 3]}}).inputs()[0]["shape"] == [1, 3]


def test_a_program_of_torch_takes_several_inputs_and_other_sizes(tiny_plan: Plan, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Masked(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, image: Any, mask: Any) -> Any:
            return {"answer": image.mean((2, 3)) * mask, "mask": mask}

    batch, high = torch.export.Dim("batch"), torch.export.Dim("high", min=4)
    sizes = {"image": {0: batch, 2: high}, "mask": {0: batch}}
    program = torch.export.export(Masked(), (torch.zeros(2, 3, 16, 24), torch.zeros(2, 3)), dynamic_shapes=sizes)
    path = tmp_path / "two.pt2"
    torch.export.save(program, path)
    target = Target(name="here", transport="local", runtimes=("torch",))
    (stored,) = measure([path], tiny_plan, tmp_path / "results", target=target)
    assert_timed(stored)
    assert [one.shape for one in stored.fed] == [(1, 3, 16, 24), (1, 3)]
    (given,) = measure([path], tiny_plan, tmp_path / "results", "image=2x3x8x24", target=target)
    assert [one.shape for one in given.fed] == [(2, 3, 8, 24), (2, 3)]
    for wrong, said in (("image=1x3x8x25", "sizes are fixed"), ("imge=1x3x8x24", "Inputs: image, mask")):
        with pytest.raises(UserError, match=said):
            deploy.artifacts_at([path], feeding.parse_request([wrong]))


# ------------------------------------------------------------------ sizes that depend on what is fed


def test_answers_of_any_size_are_those_of_the_last_inference(tmp_path: Path) -> None:
    session = onnxruntime.load(str(odd_models.nonzero(tmp_path / "a.onnx")), CPU)
    for places in ([1, 5, 6], [], [7], list(range(8))):
        values = np.zeros(8, "f4")
        values[places] = 1
        session.feed(0, values.tobytes())
        session.invoke()
        session.invoke()
        assert session.arrays()[0].ravel().tolist() == [0] * len(places) + places


def test_outputs_of_fixed_sizes_are_still_bound_once(tmp_path: Path) -> None:
    """There is no call of ours between the clock and the runtime."""
    for path in (
        odd_models.identity(tmp_path / "a.onnx", [1, 4]),
        odd_models.identity(tmp_path / "b.onnx", ["batch", 4]),
    ):
        session = onnxruntime.load(str(path), CPU)
        assert session.invoke.func == session._session.run_with_iobinding


def test_an_output_whose_size_the_file_says_wrongly_is_bound_anew(tmp_path: Path) -> None:
    """Exporters write `batch` where there are as many rows as were found."""
    import onnx

    path = odd_models.nonzero(tmp_path / "a.onnx")
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "batch"
    onnx.save(model, str(path))
    session = onnxruntime.load(str(path), CPU)
    session.feed(0, np.ones(8, "f4").tobytes())
    session.invoke()
    assert session.arrays()[0].size == 16


def nonzero_bundle(folder: Path) -> Path:
    """Golden inputs with equal numbers of outputs, which differ from those of zeros."""
    folder.mkdir()
    content = odd_models.nonzero(folder / "nonzero.onnx")
    inputs = array.array("f", [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1])
    outputs = array.array("q", [0, 0, 1, 4, 0, 0, 0, 7])
    refs = {}
    for name, values in (("inputs", inputs), ("expected", outputs), ("reference", outputs)):
        (folder / f"{name}.bin").write_bytes(values.tobytes())
        refs[name] = (bundle.file_ref(folder, folder / f"{name}.bin"),)
    golden = Golden(count=2, max_relative_error=(1e-6,), **refs)
    artifact = Artifact("nonzero", "onnx", "fp32", bundle.file_ref(folder, content), golden=golden)
    bundle.save(Bundle("nonzero", "nonzero", {}, (artifact,), "2026-11-30T00:00:00Z"), folder)
    return folder


def test_answers_of_any_size_are_checked_and_timed(tiny_plan: Plan, tmp_path: Path) -> None:
    (one,) = measure([nonzero_bundle(tmp_path / "bundle")], tiny_plan, tmp_path / "results")
    assert_timed(one)
    assert one.golden is not None and one.golden.passed and one.golden.relative_error == 0
    (output,) = one.golden.outputs
    assert output.whole
    assert list(array.array("q", base64.b64decode(output.values_base64))) == [0, 0, 1, 4, 0, 0, 0, 7]


# ------------------------------------------------------------------ weights beside the graph


def test_all_parts_of_a_file_travel(tiny_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = [
        odd_models.outside(tmp_path / "a.onnx"),
        odd_models.outside(tmp_path / "b.onnx", "deep/weights.bin"),
    ]
    found = measure(files, tiny_plan, tmp_path / "results")
    for one in found:
        assert_timed(one)
    assert [ref.file for one in found for ref in one.artifact.companions] == ["a.onnx.data", "deep/weights.bin"]
    assert found[0].artifact.size_bytes == sum((tmp_path / name).stat().st_size for name in ("a.onnx", "a.onnx.data"))


def test_other_weights_are_another_job(tiny_plan: Plan, tmp_path: Path) -> None:
    """The graph alone is the same file."""
    keys, graphs = set(), set()
    for value in (0.5, 0.25):
        path = odd_models.outside(tmp_path / "a.onnx", value=value)
        (source,) = deploy.artifacts_at([path])
        graphs.add(source.artifact.content.sha256)
        keys.add(job_store.job_key(HERE, tiny_plan, [source.artifact], "agent"))
    assert len(graphs) == 1 and len(keys) == 2


def test_a_missing_part_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    path = odd_models.outside(tmp_path / "a.onnx")
    (tmp_path / "a.onnx.data").unlink()
    with pytest.raises(BadFile) as raised:
        deploy.artifacts_at([path])
    assert raised.value.seen == f"its weights are in a.onnx.data, which is not in {tmp_path}"


def test_a_bundle_holds_all_parts_and_no_others(tiny_plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    odd_models.outside(folder / "a.onnx")
    (source,) = deploy.artifacts_at([folder / "a.onnx"])

    def saved(artifact: Artifact) -> Path:
        bundle.save(Bundle("b", "b", {}, (artifact,), "2026-11-30T00:00:00Z"), folder)
        return folder

    (one,) = measure([saved(source.artifact)], tiny_plan, tmp_path / "results")
    assert_timed(one)
    with pytest.raises(BadFile, match="a.onnx.data, which bundle.json does not name"):
        deploy.artifacts_at([saved(msgspec.structs.replace(source.artifact, companions=()))])
    saved(source.artifact)
    data = (folder / "a.onnx.data").read_bytes()
    (folder / "a.onnx.data").write_bytes(data[:-1] + b"x")
    with pytest.raises(BadFile, match="not what was exported"):
        bundle.load(folder)
    (folder / "a.onnx.data").write_bytes(data)
    outside = msgspec.structs.replace(source.artifact.companions[0], file="../secret")
    (tmp_path / "secret").write_bytes(data)
    with pytest.raises(BadFile, match="outside the bundle"):
        bundle.load(saved(msgspec.structs.replace(source.artifact, companions=(outside,))))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\x", "", "a\0b"])
def test_on_the_device_no_name_leads_out_of_the_model(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    sha256 = "0" * 64
    store.blob(sha256).write_bytes(b"x")
    with pytest.raises(ValueError, match="not a valid name"):
        store.lay_out(sha256, ".onnx", [(name, sha256)])


def test_parts_are_linked_or_where_that_is_forbidden_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> None:
        raise PermissionError("not on this file system")

    for number, link in enumerate((os.link, forbidden)):
        monkeypatch.setattr(os, "link", link)
        store = Store(tmp_path / str(number))
        graph, weights = "0" * 64, "1" * 64
        store.blob(graph).write_bytes(b"graph")
        store.blob(weights).write_bytes(b"weights")
        path = store.lay_out(graph, ".onnx", [("a/w.bin", weights)])
        assert path == store.lay_out(graph, ".onnx", [("a/w.bin", weights)])
        assert path.read_bytes() == b"graph" and (path.parent / "a/w.bin").read_bytes() == b"weights"
        assert (path.stat().st_nlink == 2) == (number == 0)


def test_a_part_that_was_damaged_is_laid_out_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for sha256, content in (("0" * 64, b"graph"), ("1" * 64, b"weights")):
        store.blob(sha256).write_bytes(content)
    path = store.lay_out("0" * 64, ".onnx", [("w.bin", "1" * 64)])
    (path.parent / "w.bin").unlink()
    assert store.lay_out("0" * 64, ".onnx", [("w.bin", "1" * 64)]) == path
    assert (path.parent / "w.bin").read_bytes() == b"weights"
