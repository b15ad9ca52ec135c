"""With what sizes a file is fed: given, declared, or asked for; never made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench import modelfile
from edgebench.errors import UserError
from edgebench.modelfile import feeding
from edgebench.modelfile.feeding import Feeding
from tests.conftest import run_cli
from tests.support import odd_models


def settled(path: Path, *shapes: str, signature: str = "") -> Feeding:
    model = modelfile.read(path)
    assert model is not None
    return feeding.settle(path, model, feeding.parse_request(shapes, signature))


def refusal(path: Path, *shapes: str) -> str:
    with pytest.raises(UserError) as raised:
        settled(path, *shapes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_only_a_batch_is_one_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    assert settled(odd_models.identity(path, ["batch", 10])).shapes == {"x": (1, 10)}
    assert settled(odd_models.identity(path, [None, 10])).shapes == {"x": (1, 10)}
    assert settled(odd_models.identity(path, ["batch"])).shapes == {"x": (1,)}
    assert settled(odd_models.identity(path, [4, 10])).shapes == {}
    assert settled(odd_models.identity(path, [])).shapes == {}
    for shape in (["sequence_length", 10], [None], ["samples"], ["n", "n"], [None, None], [2, None], None):
        assert "leaves sizes open" in refusal(odd_models.identity(path, shape))


def test_the_refusal_shows_names_axes_and_the_option(tmp_path: Path) -> None:
    said = refusal(odd_models.detector(tmp_path / "open.onnx"))
    assert "open.onnx: it leaves sizes open" in said
    assert "height and width of image [batch, 3, height, width]" in said
    assert said.endswith("for example: --shape image=1x3x320x320")
    said = refusal(odd_models.identity(tmp_path / "x.onnx", [2, None, 128]))
    assert "axis 1 (counted from 0) of x [2, ?, 128]" in said and "--shape x=2x128x128" in said
    # Paddle's exporter calls every size "?": they are not the same one.
    said = refusal(odd_models.identity(tmp_path / "x.onnx", ["?", 3, "?", "?"]), "y=1x3x2x2")
    assert "axes 2 and 3 (counted from 0) of x [?, 3, ?, ?]" in said and "--shape x=1x3x320x320" in said
    said = refusal(odd_models.with_shape(tmp_path / "x.tflite", [1, 1, 1, 3], [-1, -1, -1, 3]))
    assert "--shape x=1x320x320x3" in said


def test_what_the_refusal_proposes_is_taken(tmp_path: Path) -> None:
    for path in (
        odd_models.detector(tmp_path / "a.onnx"),
        odd_models.text_model(tmp_path / "b.onnx"),
        odd_models.identity(tmp_path / "c.onnx", [2, None, "n", "n"]),
        odd_models.with_shape(tmp_path / "d.tflite", [1, 1, 1, 3], [-1, -1, -1, 3]),
    ):
        options = refusal(path).partition("for example: ")[2].removeprefix("--shape ").split(" --shape ")
        assert settled(path, *options).shapes


def test_one_name_is_one_size(tmp_path: Path) -> None:
    """Of two inputs with the same names of sizes one has to be given, and one is asked for."""
    path = odd_models.text_model(tmp_path / "text.onnx")
    assert refusal(path).count("--shape") == 1
    assert settled(path, "input_ids=1x77").shapes == {"input_ids": (1, 77), "attention_mask": (1, 77)}
    assert settled(path, "attention_mask=4x77").shapes == {"input_ids": (4, 77), "attention_mask": (4, 77)}


def test_sizes_that_the_file_declares_are_used_and_said(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for metadata, shape in (
        ({"imgsz": "[320, 640]", "stride": "32"}, (1, 3, 320, 640)),
        ({"imgsz": "224"}, (1, 3, 224, 224)),
        ({"input_shape": "(1, 3, 96, 128)"}, (1, 3, 96, 128)),
        ({"height": "48", "width": "64"}, (1, 3, 48, 64)),
    ):
        found = settled(odd_models.detector(path, metadata=metadata))
        assert found.shapes == {"image": shape}
    found = settled(odd_models.detector(path, metadata={"imgsz": "[320, 640]"}))
    assert found.remarks == (
        "net.onnx: image is fed as 1x3x320x640, according to its metadata (imgsz [320, 640]); --shape gives others",
    )
    assert (
        settled(path, "image=2x3x8x8").shapes == {"image": (2, 3, 8, 8)} and not settled(path, "image=2x3x8x8").remarks
    )
    stored = settled(odd_models.with_shape(tmp_path / "s.tflite", [1, 257, 129, 3], [-1, -1, -1, 3]))
    assert stored.shapes == {"x": (1, 257, 129, 3)} and "stored in the file" in stored.remarks[0]
    for useless in ({"imgsz": "any"}, {"imgsz": "[0, 0]"}, {"width": "64"}, {"batch": "16"}):
        assert "leaves sizes open" in refusal(odd_models.detector(path, metadata=useless))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("image=1x4x8x8", "1x4x8x8 does not fit: image of open.onnx is [batch, 3, height, width]"),
        ("image=1x3x8", "a different number of sizes"),
        ("image=", "is not an input shape"),
        ("image=1x3xax8", "is not an input shape"),
        ("image=1x3x-8x8", "is not an input shape"),
        ("1x0x8x8", "is not an input shape"),
    ],
)
def test_a_shape_that_does_not_fit_is_one_sentence(shape: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(odd_models.detector(tmp_path / "open.onnx"), shape)


def test_a_shape_without_a_name_is_for_files_of_one_input(tmp_path: Path) -> None:
    assert settled(odd_models.detector(tmp_path / "a.onnx"), "1x3x8x8").shapes == {"image": (1, 3, 8, 8)}
    assert "has 2 inputs. Name one of them, NAME=...: input_ids, attention_mask" in refusal(
        odd_models.text_model(tmp_path / "b.onnx"), "1x8"
    )
    with pytest.raises(UserError, match="'image' is given twice"):
        feeding.parse_request(["image=1x3x8x8", "image=1x3x9x9"])


def test_the_command_refuses_before_it_connects(tmp_path: Path) -> None:
    odd_models.detector(tmp_path / "a.onnx")
    odd_models.text_model(tmp_path / "b.onnx")
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]

    def deploy(*options: str) -> str:
        done = run_cli("deploy", "--target", "rpi4", *files, *options, cwd=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr and not (tmp_path / "results").exists()
        return " ".join(done.stderr.split())

    assert "height and width of image" in deploy()
    assert "sequence of input_ids [batch, sequence]" in deploy("--shape", "image=1x3x8x8")
    assert "no input is called 'imge'. Inputs: attention_mask, image, input_ids" in " ".join(
        deploy("--shape", "imge=1x3x8x8").replace("imge' ", "imge'. ").split()
    )
    assert "there is no 'decode'" in deploy("--signature", "decode")
    (tmp_path / "b.onnx").write_text("<html>not found</html>")
    assert "it is a web page, not a model" in deploy("--shape", "image=1x3x8x8")


def test_sizes_by_their_own_names_and_dtypes_of_code(tmp_path: Path) -> None:
    asked = feeding.parse_request(["ids=1x16:int64", "rate=scalar:int64", "mask=1x16:bool"], dims=["batch=2", "seq=8"])
    assert asked.shapes == {"ids": (1, 16), "rate": (), "mask": (1, 16)}
    assert asked.dtypes == {"ids": "int64", "rate": "int64", "mask": "bool"} and asked.dims == {"batch": 2, "seq": 8}
    for shapes, dims, words in (
        (["ids=1x16:int128"], [], "there is no dtype 'int128'. Choose from: float32"),
        (["ids=1x16:"], [], "there is no dtype ''"),
        ([], ["batch"], "'batch' is not the name of a size and its value. For example: --dim batch=1"),
        ([], ["batch=0"], "is not the name of a size"),
        ([], ["batch=1", "batch=2"], "'batch' is given twice"),
    ):
        with pytest.raises(UserError, match=words):
            feeding.parse_request(shapes, dims=dims)


def test_a_size_is_set_by_its_name_and_not_in_two_ways(tmp_path: Path) -> None:
    path = odd_models.identity(tmp_path / "x.onnx", ["batch", "length", 3])
    model = modelfile.read(path)
    assert model is not None
    asked = feeding.parse_request((), dims=["length=7"])
    assert feeding.settle(path, model, asked).shapes == {"x": (1, 7, 3)}
    with pytest.raises(UserError, match="length is 7, but --shape gives x of x.onnx 8 there"):
        feeding.settle(path, model, feeding.parse_request(["x=1x8x3"], dims=["length=7"]))
    with pytest.raises(UserError, match="no open size is called 'width'. Open sizes: batch, length"):
        feeding.refuse_unused(feeding.parse_request((), dims=["width=7"]), [model])
    with pytest.raises(UserError, match="a file says itself what it takes"):
        feeding.refuse_unused(feeding.parse_request(["x=1x7x3:int64"]), [model])
