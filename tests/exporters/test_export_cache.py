"""Artifacts that were made before are not made again, unless anything that they were made of has changed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import exporters
from edgebench.errors import BadFile
from edgebench.export import Exported, ExportOptions, export
from edgebench.networks import data
from edgebench.networks.data import Dataset, Split
from edgebench.progress import Silent
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ArtifactOptions, Choice, Kernels
from exporters.pipeline import artifact_cache
from exporters.pipeline.artifact_cache import ArtifactCache
from exporters.pipeline.export_images import ExportImages
from exporters.sources.source_model import SourceModel
from tests.conftest import run_cli

pytestmark = pytest.mark.export

for library in ("onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

ONNX_FP32, ONNX_FP16 = Choice("onnx-fp32", "onnx", "fp32"), Choice("onnx-fp16", "onnx", "fp16")
ONNX_INT8 = Choice("onnx-int8", "onnx", "int8")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest classifier there is."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node("Gemm", ["x", "w"], ["y"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(
        [node], "g", ports[:1], ports[1:], [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
    )
    path = tmp_path_factory.mktemp("network") / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @property
    def about_the_cache(self) -> list[str]:
        return [line for line in self.lines if "the cache" in line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def run(network: Path, folder: Path, *formats: str, out: str = "out") -> tuple[Exported, list[str]]:
    said = Said()
    made = export(network, ExportOptions(formats=formats), cache=folder, out=folder.with_name(out), progress=said)
    return made, said.about_the_cache


def test_only_what_is_new_is_made(network: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, said = run(network, folder, "onnx-fp32")
    assert said == []
    second, said = run(network, folder, "onnx-fp16", "onnx-fp32", out="second")
    assert said == ["from the cache: onnx-fp32"]
    assert [one.name for one in second.bundle.artifacts] == ["net-onnx-fp16", "net-onnx-fp32"]
    assert second.bundle.artifacts[1] == first.bundle.artifacts[0]
    assert bundle.load(second.path) == second.bundle

    monkeypatch.setattr("exporters.pipeline.reference_data.collect", None)  # nothing is asked for
    third, said = run(network, folder, "onnx-fp16", "onnx-fp32", out="third")
    assert said == ["from the cache: onnx-fp16, onnx-fp32"]
    assert third.bundle.artifacts == second.bundle.artifacts
    files = {path.relative_to(third.path) for path in third.path.rglob("*") if path.is_file()}
    named = {Path(ref.file) for one in third.bundle.artifacts for ref in bundle.files_of(one)}
    assert files == named | {Path("bundle.json")}


def test_another_name_is_no_other_network(network: Path, folder: Path, tmp_path: Path) -> None:
    run(network, folder, "onnx-fp32")
    renamed = tmp_path / "renamed.onnx"
    renamed.write_bytes(network.read_bytes())
    made, said = run(renamed, folder, "onnx-fp32", out="again")
    assert said == ["from the cache: onnx-fp32"]
    assert (made.bundle.artifacts[0].name, made.bundle.artifacts[0].model) == ("renamed-onnx-fp32", "renamed")


@pytest.mark.parametrize("file", ["onnx-fp32.onnx", "golden/onnx-fp32.input.bin", "bundle.json"])
def test_a_damaged_entry_is_noticed_and_made_anew(network: Path, folder: Path, file: str) -> None:
    first, _ = run(network, folder, "onnx-fp32")
    (entry,) = folder.iterdir()
    path = entry / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if file == "bundle.json":
        path.write_bytes(content[: len(content) // 2])
    second, said = run(network, folder, "onnx-fp32")
    assert said == ["damaged in the cache, made again: onnx-fp32"]
    assert second.bundle.artifacts == first.bundle.artifacts
    _, said = run(network, folder, "onnx-fp32")
    assert said == ["from the cache: onnx-fp32"]


def test_the_command_line_uses_it_unless_told_not_to(network: Path, tmp_path: Path, cache: Path) -> None:
    command = ["export", network, "--formats", "onnx-fp32"]
    assert run_cli(*command, "--no-cache", cwd=tmp_path).returncode == 0
    assert not (cache / "export").exists()
    assert "from the cache" not in run_cli(*command, cwd=tmp_path).stdout
    assert "from the cache: onnx-fp32" in run_cli(*command, cwd=tmp_path).stdout
    assert "from the cache" not in run_cli(*command, "--no-cache", cwd=tmp_path).stdout


# ------------------------------------------------------------------ what an artifact is made of


@pytest.fixture(scope="module")
def mini() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 300), test=data.balanced(full.test, 100))


@pytest.fixture
def images(mini: Dataset) -> ExportImages:
    return ExportImages(mini, mini.calibration(), mini.name, mini.preprocessing)


WIDER = TensorSpec("input", (1, 1, 32, 32), "float32", "NCHW")
PARENT = SourceModel(
    name="net",
    where="net.onnx",
    path=Path("net.onnx"),
    kind="onnx",
    model="net",
    inputs=(TensorSpec("input", (1, 1, 28, 28), "float32", "NCHW"),),
    outputs=(TensorSpec("logits", (1, 10), "float32", "NC"),),
    source={},
    digest="0" * 64,
    parameters=1,
    macs=1,
    dataset="fashion-mnist-mini",
    calibration="fashion-mnist-mini",
)


def entry(
    images: ExportImages | None, choice: Choice = ONNX_FP32, parent: SourceModel = PARENT, **options: Any
) -> Path | None:
    return ArtifactCache(Path("kept"), artifact_cache.basis(parent, images, ArtifactOptions(**options))).entry(choice)


def inverted(split: Split) -> Split:
    return Split(255 - split.images, split.labels)


def test_everything_that_decides_is_in_the_name(images: ExportImages, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = images.dataset
    replace = dataclasses.replace
    entries = {
        "as it was": entry(images),
        "another network": entry(images, parent=replace(PARENT, digest="1" * 64)),
        "another size": entry(images, parent=replace(PARENT, inputs=(WIDER,))),
        "other test images": entry(replace(images, dataset=replace(dataset, test=inverted(dataset.test)))),
        "other labels": entry(
            replace(images, dataset=replace(dataset, test=Split(dataset.test.images, dataset.test.labels[::-1].copy())))
        ),
        "other validation images": entry(
            replace(images, dataset=replace(dataset, validation=inverted(dataset.validation)))
        ),
        "other calibration images": entry(replace(images, calibration=inverted(images.calibration))),
        "other preprocessing": entry(replace(images, preprocessing=Preprocessing((0.5,), (0.5,)))),
        "no images": entry(None),
        "another precision": entry(images, ONNX_FP16),
        "another exporter": entry(images, Choice("onnx-fp32", "onnx-dynamic", "fp32")),
        "folded": entry(images, fold=True),
        "any batch": entry(images, dynamic_batch=True),
    }
    monkeypatch.setattr(artifact_cache, "_version", lambda package: "0.0")
    entries["other libraries"] = entry(images)
    monkeypatch.setattr(artifact_cache, "_code_sha256", lambda: "")
    entries["other code"] = entry(images)
    assert None not in entries.values()
    assert len(set(entries.values())) == len(entries)


def test_what_does_not_decide_is_not(images: ExportImages) -> None:
    assert entry(images) == entry(images, max_drop_points=1), "of accuracy that INT8 may cost"
    assert entry(images, ONNX_INT8) != entry(images, ONNX_INT8, max_drop_points=1)
    assert entry(images) == entry(images, kernels=Kernels(7)), "which only INT8 has to mind"
    assert entry(images, ONNX_INT8) != entry(images, ONNX_INT8, kernels=Kernels(7))
    assert entry(images) == entry(images, parent=dataclasses.replace(PARENT, name="other", where="other.onnx"))


def test_code_that_is_imported_is_never_known_beforehand(images: ExportImages) -> None:
    assert entry(images, parent=dataclasses.replace(PARENT, kind="module", digest="")) is None


# ------------------------------------------------------------------ the folder


@pytest.fixture
def made(relu_bundle: Path) -> tuple[Path, Artifact]:
    return relu_bundle, bundle.load(relu_bundle).artifacts[0]


def store(folder: Path, number: int, largest_bytes: int = 10**9) -> ArtifactCache:
    return ArtifactCache(folder, {"number": number}, largest_bytes)


def test_the_entry_used_longest_ago_goes_first(folder: Path, made: tuple[Path, Artifact], tmp_path: Path) -> None:
    part, artifact = made
    for number in range(3):
        store(folder, number).keep(ONNX_FP32, artifact, part)
        path = store(folder, number).entry(ONNX_FP32)
        assert path is not None
        os.utime(path, (number + 1, number + 1))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 3
    assert store(folder, 0).take(ONNX_FP32, tmp_path / "out") == artifact  # and so it was used last
    store(folder, 3, 3 * size + size // 2).keep(ONNX_FP32, artifact, part)
    left = [number for number in range(4) if (store(folder, number).entry(ONNX_FP32) or Path()).is_dir()]
    assert left == [0, 2, 3]
    store(folder, 4, 1).keep(ONNX_FP32, artifact, part)
    assert [one.name for one in folder.iterdir()] == [(store(folder, 4).entry(ONNX_FP32) or Path()).name]


@pytest.mark.parametrize("fails", ["shutil.copyfile", "edgebench.schema.bundle.save", "pathlib.Path.mkdir"])
def test_an_entry_that_cannot_be_written_is_not_there(
    folder: Path, made: tuple[Path, Artifact], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    part, artifact = made

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fails, full)
        store(folder, 0).keep(ONNX_FP32, artifact, part)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_two_that_make_the_same_keep_one(folder: Path, made: tuple[Path, Artifact], tmp_path: Path) -> None:
    part, artifact = made
    store(folder, 0).keep(ONNX_FP32, artifact, part)
    store(folder, 0).keep(ONNX_FP32, msgspec.structs.replace(artifact, model="later"), part)
    assert len(list(folder.iterdir())) == 1
    assert store(folder, 0).take(ONNX_FP32, tmp_path / "out") == artifact


def test_a_file_outside_an_entry_is_not_taken(folder: Path, made: tuple[Path, Artifact], tmp_path: Path) -> None:
    part, artifact = made
    store(folder, 0).keep(ONNX_FP32, artifact, part)
    path = store(folder, 0).entry(ONNX_FP32)
    assert path is not None
    text = (path / "bundle.json").read_text().replace("golden/inputs.bin", "../../secret.bin")
    (path / "bundle.json").write_text(text)
    (tmp_path / "secret.bin").write_bytes((path / "golden/inputs.bin").read_bytes())
    with pytest.raises(BadFile, match="outside the bundle"):
        store(folder, 0).take(ONNX_FP32, tmp_path / "out")
    assert not path.exists()
