"""Files that are damaged, hostile, unusual, or no networks at all."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from device_agents.python.runtimes import litert
from edgebench.analysis import inspection_report as report
from edgebench.errors import BadFile, UserError
from edgebench.files.plain_text import LONGEST_EXCERPT, plain_excerpt
from edgebench.inspect import inspect
from edgebench.schema import bundle
from exporters.inspect import LookTask
from exporters.workers.process import Failed, WorkerPool
from tests.conftest import DATA

pytestmark = pytest.mark.export

for library in ("onnx", "onnxruntime", "ai_edge_litert"):
    if not importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from tests.support import odd_models  # noqa: E402
from tests.support.inspected import BUNDLE, by_name, conv_net, make, on_terminal, port, read_onnx, read_tflite, weight  # noqa: E402
from tests.support.inspected import folder as folder  # noqa: E402
from tests.support.inspected import network_file as network_file  # noqa: E402


def isolated(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.onnx", b"this is no network", "not an ONNX network"),
        ("page.tflite", b"<!doctype html><html>" * 9, "it is a web page, not a model"),
        (
            "names.onnx",
            (BUNDLE / "onnx-fp32.onnx").read_bytes().replace(b"/stem/Conv", b"/\xff\xfem/Conv"),
            "not an ONNX network",
        ),
        ("empty.onnx", b"", "0 bytes"),
        ("truncated.onnx", (BUNDLE / "onnx-fp32.onnx").read_bytes()[:50_000], "not an ONNX network"),
        ("truncated.tflite", (BUNDLE / "tflite-fp32.tflite").read_bytes()[:3_000], "not a TFLite network"),
        ("other.onnx", (BUNDLE / "tflite-fp32.tflite").read_bytes(), "a TFLite network, not an ONNX"),
        ("other.tflite", (BUNDLE / "onnx-fp32.onnx").read_bytes(), "an ONNX network, not a TFLite"),
        ("noise.tflite", b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40, "not a TFLite network"),
        ("net.pt2", b"x", "inspect does not read '.pt2' files"),
        ("net.pth", b"x", "'.pth' is not a format"),
    ],
)
def test_what_is_no_network_is_said_in_one_sentence(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        inspect(isolated(tmp_path / name, content))
    assert said in raised.value.seen
    assert "\n" not in str(raised.value)


def test_what_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as stream:
        stream.truncate(2**31)
    known = bundle.FileRef("huge.onnx", "0" * 64, 2**31)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "file_ref", lambda folder, path: known)  # hashing 2 GB of zeros takes seconds
        with pytest.raises(BadFile, match="separate file"):
            inspect(tmp_path / "huge.onnx")


def test_a_tflite_file_cut_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """Never anything but BadFile: offsets that lead out of the file are everywhere in it."""
    whole = base64.b64decode(litert.TINY_MODEL)
    refused = 0
    lengths = range(8, len(whole), 9)
    for length in lengths:
        for content in (whole[:length], whole[:length] + b"\xff" * (len(whole) - length)):
            try:
                read_tflite(isolated(tmp_path / "cut.tflite", content))
            except BadFile:
                refused += 1
    assert refused > len(lengths) / 2


def test_a_file_that_kills_its_runtime_is_still_described(tmp_path: Path) -> None:
    found = inspect(DATA / "crash-sigfpe.onnx")
    assert [layer.operator for layer in found.network.layers][:2] == ["Mul", "Sub"]
    (remark,) = found.network.remarks
    assert "SIGFPE" in remark


def test_a_reader_that_dies_is_one_sentence(network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(self: WorkerPool, task: LookTask) -> Any:
        raise Failed("the process was killed by SIGSEGV", Path("log"))

    monkeypatch.setattr(WorkerPool, "look", die)
    with pytest.raises(BadFile, match="cannot be read .*SIGSEGV"):
        inspect(network_file)


def test_what_the_runtime_does_not_take_is_said(folder: Path) -> None:
    path = folder / "newer.onnx"
    onnx.save(conv_net(opset=17, ir_version=99), path)
    found = inspect(path)
    assert found.network.facts["loads from"].startswith("newer than onnxruntime")
    assert any("does not run it" in remark and "IR version" in remark for remark in found.network.remarks)
    assert found.network.macs == 8 * 8 * (108 + 144) + 20, "it is counted all the same"


def test_weights_beside_the_file(folder: Path) -> None:
    own = folder / "external"
    own.mkdir()
    onnx.save(conv_net(), own / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    network = read_onnx(own / "net.onnx", own)
    assert by_name(network)["first"].zeros == 5
    assert any("weights are in net.data" in remark for remark in network.remarks)
    (own / "net.data").unlink()
    network = read_onnx(own / "net.onnx", own)
    assert by_name(network)["first"].zeros is None
    assert (network.parameters, network.weights_bytes) == (281, 281 * 4)
    assert any("net.data is missing" in remark for remark in network.remarks)


@pytest.mark.parametrize("way", ["../secret.data", "link.data"])
def test_no_file_outside_the_folder_is_read(way: str, folder: Path) -> None:
    own = folder / f"escape-{way.partition('.')[0] or 'up'}"
    own.mkdir()
    (folder / "secret.data").write_bytes(b"\0" * 4000)
    (own / "link.data").symlink_to(folder / "secret.data")
    model = conv_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=way)
    path = own / "net.onnx"
    path.write_bytes(model.SerializeToString())
    found = inspect(path)
    assert by_name(found.network)["first"].zeros is None, "the zeros out there must not be counted"
    assert any("outside its folder" in remark and "not read" in remark for remark in found.network.remarks)
    assert any("not tried" in remark for remark in found.network.remarks)


def test_sizes_that_are_left_open(folder: Path) -> None:
    model = conv_net()
    for place, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    network = read_onnx(model, folder)
    assert (network.macs, network.memory) == (None, None)
    assert network.inputs[0].shape == ("n", 3, "height", "width")
    assert any("--shape" in remark for remark in network.remarks)
    given = read_onnx(model, folder, (1, 3, 16, 16))
    assert given.macs == 16 * 16 * (108 + 144) + 20
    for wrong in ((1, 3, 16), (1, 4, 16, 16)):
        with pytest.raises(UserError, match="does not fit"):
            read_onnx(model, folder, wrong)


def test_branches_are_counted_once(folder: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Gemm", ["x", f"w-{name}"], [f"out-{name}"], f"gemm-{name}")
        return helper.make_graph([node], name, [], [port(f"out-{name}", 1, 6)], [weight(f"w-{name}", 6, 6)])

    chosen = helper.make_node("If", ["flag"], ["y"], "choice", then_branch=branch("then"), else_branch=branch("else"))
    inputs = [port("x", 1, 6), port("flag", 1, dtype=TensorProto.BOOL)]
    network = read_onnx(make([chosen], inputs, [port("y", 1, 6)], []), folder)
    assert [layer.name for layer in network.layers] == [
        "choice.else_branch/gemm-else",
        "choice.then_branch/gemm-then",
        "choice",
    ]
    assert (network.macs, network.parameters) == (72, 72)
    assert any("subgraphs of If" in remark for remark in network.remarks)


def test_functions_of_the_file_itself_are_looked_into(folder: Path) -> None:
    inner = helper.make_node("Gemm", ["a", "b"], ["c"])
    function = helper.make_function("mine", "Linear", ["a", "b"], ["c"], [inner], [helper.make_opsetid("", 17)])
    call = helper.make_node("Linear", ["x", "w"], ["y"], domain="mine")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = make(
        [call], [port("x", 1, 6)], [port("y", 1, 6)], [weight("w", 6, 6)], functions=[function], opset_imports=opsets
    )
    assert [(layer.operator, layer.macs) for layer in read_onnx(model, folder).layers] == [("Gemm", 36)]


def test_names_cannot_write_on_the_terminal(folder: Path) -> None:
    path = folder / "hostile.onnx"
    model = conv_net(prefix="[bold red]\x1b[31mevil\x07\n\u202e", producer_name="[link=http://x.invalid]p\x1b[2J")
    model.graph.input[0].name = model.graph.node[0].input[0] = "[blink]in\x1b]0;title\x07"
    onnx.save(model, path)
    found = inspect(path)
    for text in (on_terminal(found), report.layers_csv(found)):
        assert not any(mark in text for mark in ("\x1b", "\x07", "\u202e"))
    assert "[blink]in" in on_terminal(found), "what looks like markup is shown as it is"


def test_a_picture_of_a_hostile_name_holds_no_markup(network_file: Path) -> None:
    from xml.etree import ElementTree

    from edgebench.analysis import inspection_chart

    found = inspect(network_file)
    layers = [replace(found.network.layers[0], name="<script>alert(1)</script>"), *found.network.layers[1:]]
    hostile = replace(found, file="</svg><script>x", network=replace(found.network, layers=tuple(layers)))
    root = ElementTree.fromstring(inspection_chart.svg(hostile))
    assert not [element for element in root.iter() if element.tag.endswith("script")]


def test_a_shape_of_the_size_of_the_universe_allocates_nothing(folder: Path) -> None:
    """Sizes are only numbers until somebody makes room for them."""
    network = read_onnx(conv_net(2**31), folder)
    assert network.layers[0].activation_bytes == 2**31 * 4 * 8 * 8 * 4
    assert network.macs == 8 * 8 * (108 + 144) + 20


def test_plain_text_is_one_line_of_what_can_be_seen() -> None:
    assert plain_excerpt("a\x1b[31m\nb\u202e") == "a\u241b[31m b\ufffd"
    assert plain_excerpt("/stem/Conv ü") == "/stem/Conv ü"
    assert plain_excerpt("x" * 10_000) == "x" * LONGEST_EXCERPT + "…"


def test_sizes_are_given_by_name(folder: Path) -> None:
    path = odd_models.text_model(folder / "text.onnx")
    network = inspect(path, shapes={"attention_mask": (1, 8)}).network
    assert [one.output_shape for one in network.layers] == [(1, 8)]  # one name of a size is one size
    with pytest.raises(
        UserError, match="no input of text.onnx is called 'mask'. Its inputs: input_ids, attention_mask"
    ):
        inspect(path, shapes={"mask": (1, 8)})


def test_sizes_that_the_metadata_declare_are_used_and_said(folder: Path) -> None:
    path = odd_models.detector(folder / "net.onnx", metadata={"imgsz": "[16, 24]"})
    found = inspect(path).network
    assert found.macs == 8 * 12 * 4 * 3 * 9
    assert any("image is fed as 1x3x16x24, according to its metadata" in remark for remark in found.remarks)
    assert inspect(path, shapes={"image": (1, 3, 8, 8)}).network.macs == 4 * 4 * 4 * 3 * 9


def test_a_size_that_is_written_as_minus_one_is_open(folder: Path) -> None:
    model = conv_net()
    for place in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = -1
    network = read_onnx(model, folder)
    assert network.inputs[0].shape == ("?", 3, "?", "?")
    assert any("x=1x3x224x224" in remark for remark in network.remarks)
    assert read_onnx(model, folder, (1, 3, 16, 16)).macs == 16 * 16 * (108 + 144) + 20


def test_all_parts_of_a_file_are_hashed_and_a_missing_one_is_named_with_its_folder(folder: Path) -> None:
    path = odd_models.outside(folder / "net.onnx")
    (part,) = inspect(path).companions
    assert part == bundle.file_ref(folder, folder / "net.onnx.data")
    (folder / "net.onnx.data").unlink()
    found = inspect(path)
    assert found.companions == ()
    assert f"its data file net.onnx.data is missing in {folder}" in found.network.remarks


def test_why_the_runtime_does_not_run_it_is_said_with_what_helps(folder: Path) -> None:
    path = odd_models.with_operator(folder / "flex.tflite", custom="FlexErf")
    assert any(
        "its operator FlexErf is one of TensorFlow's own" in remark and "SELECT_TF_OPS" in remark
        for remark in inspect(path).network.remarks
    )


def test_what_only_a_delegate_runs_is_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XNNPACK has operators that LiteRT itself lacks: there is no arena to tell, and nothing is wrong."""
    from exporters.inspect import tflite_runs

    def without_delegates(*_: Any, **__: Any) -> None:
        raise RuntimeError("Encountered unresolved custom op: Convolution2DTransposeBias.")

    monkeypatch.setattr(tflite_runs, "_plain_interpreter", without_delegates)
    found = tflite_runs.load(BUNDLE / "tflite-fp32.tflite")
    assert (found.problem, found.arena_bytes) == ("", None)
