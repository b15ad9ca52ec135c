"""Networks that export refuses: operators that a format lacks, and answers that cannot be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

import exporters
from edgebench.errors import UserError
from edgebench.export import ExportOptions, check_made, export
from edgebench.schema import bundle
from exporters.pipeline import refusals
from exporters.workers.process import Failed
from tests.support.export_sources import classifier
from tests.support.export_sources import folder as folder

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


@pytest.mark.slow
def test_an_operator_that_a_format_does_not_have(folder: Path) -> None:
    """The other format is delivered all the same, and only who named the first is told with an error."""
    named = ["onnx-fp32", "torch-fp32"]
    made = export("my.models:bessel", ExportOptions(input_shape=(1, 28, 28), formats=named), out=folder / "out")
    assert [one.format for one in made.bundle.artifacts] == ["torch"] and bundle.load(folder / "out") == made.bundle
    (failed,) = made.bundle.failed
    assert failed.format == "onnx-fp32" and "does not support the operator 'special_bessel_j0'" in failed.reason
    check_made(made, ())
    with pytest.raises(UserError, match="--formats: onnx-fp32 could not be made"):
        check_made(made, named)
    with pytest.raises(UserError, match="does not support the operator"):
        export("my.models:bessel", ExportOptions(input_shape=(1, 28, 28), formats=["onnx-fp32"]), out=folder / "none")
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("RuntimeError: Lowering not found: aten._unique2.default", "the operator '_unique2'"),
        ("ModuleNotFoundError: No module named 'onnx2tf.ops.BitShift'", "the operator 'BitShift'"),
        (
            "GuardOnDataDependentSymNode: Could not guard on data-dependent expression",
            "takes different paths for different inputs",
        ),
        ("RuntimeError: something else", "RuntimeError: something else"),
    ],
)
def test_how_converters_say_what_they_cannot_do(tmp_path: Path, seen: str, words: str) -> None:
    choices = exporters.choose(["tflite-fp32", "onnx-fp32", "tflite-int8"], "checkpoint")
    error = refusals.explained(Failed(seen, tmp_path / "tflite.log"), "net", choices, tmp_path / "out")
    assert error.seen.startswith("tflite: ")
    assert words in error.seen
    assert error.remedy == "Leave out what tflite makes: --formats onnx-fp32"


def test_a_network_that_draws_numbers_is_refused(tmp_path: Path) -> None:
    nodes = [("RandomNormalLike", ["x"], ["n"]), ("Add", ["x", "n"], ["z"]), ("Gemm", ["z", "w"], ["y"])]
    path = classifier(tmp_path / "drawing.onnx", nodes)
    with pytest.raises(UserError, match=r"not deterministic: a second run differs by .* % \(RMS\)") as raised:
        export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert raised.value.where == str(path)
    assert not (tmp_path / "out").exists()


def test_a_network_whose_answers_are_not_numbers_is_refused(tmp_path: Path) -> None:
    path = classifier(tmp_path / "log.onnx", [("Log", ["x"], ["z"]), ("Gemm", ["z", "w"], ["y"])])
    with pytest.raises(UserError, match=r"its answers to .* of .* images are not numbers") as raised:
        export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert raised.value.where == str(path)
