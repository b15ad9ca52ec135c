"""A bundle is loaded only if every file in it is the one that was exported."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench import deploy
from edgebench.errors import BadFile
from edgebench.schema import bundle, limits, names
from tests.conftest import sha256

FILES = ["onnx-fp32.onnx", "tflite-fp32.tflite", "golden/inputs.bin", "golden/expected.bin"]


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the JSON of a bundle; its files stay as they are."""
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_bundle_is_read_back_as_it_was(relu_bundle: Path, tmp_path: Path) -> None:
    loaded = bundle.load(relu_bundle)
    bundle.save(loaded, relu_bundle)
    assert bundle.load(relu_bundle) == loaded
    assert [artifact.name for artifact in loaded.artifacts] == ["relu-onnx-fp32", "relu-tflite-fp32"]
    assert not list(relu_bundle.glob("*.part"))


def test_a_file_is_known_by_its_path_content_and_size(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/inputs.bin").write_bytes(b"12345")
    ref = bundle.file_ref(tmp_path, tmp_path / "golden/inputs.bin")
    assert ref == bundle.FileRef("golden/inputs.bin", sha256(b"12345"), 5)


# ------------------------------------------------------------------ files that changed


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0, -1])
def test_a_changed_byte_in_any_file_is_found(name: str, where: int, relu_bundle: Path) -> None:
    path = relu_bundle / name
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFile, match="its content is not what was exported") as caught:
        bundle.load(relu_bundle)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_said(name: str, relu_bundle: Path) -> None:
    (relu_bundle / name).unlink()
    with pytest.raises(BadFile, match="it is missing") as caught:
        bundle.load(relu_bundle)
    assert caught.value.where == str(relu_bundle / name)


def test_a_truncated_file_is_found(relu_bundle: Path) -> None:
    path = relu_bundle / FILES[1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadFile, match="its content is not what was exported"):
        bundle.load(relu_bundle)


# ------------------------------------------------------------------ paths that lead out

PLACES = ["content", "inputs", "reference", "expected"]


def point(folder: Path, place: str, file: str, digest: str) -> None:
    def change(content: dict[str, Any]) -> None:
        artifact = content["artifacts"][0]
        ref = artifact["content"] if place == "content" else artifact["golden"][place][0]
        ref |= {"file": file, "sha256": digest}

    edit(folder, change)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["../secret.bin", "golden/../../secret.bin", "{absolute}", "link/secret.bin", "soft"])
def test_a_path_that_leads_out_of_the_bundle_is_refused(place: str, form: str, relu_bundle: Path) -> None:
    """Its sha256 is right: what is outside must not be sent, however well it is known."""
    secret = relu_bundle.parent / "secret.bin"
    secret.write_bytes(b"secret")
    (relu_bundle / "link").symlink_to(relu_bundle.parent)
    (relu_bundle / "soft").symlink_to(secret)
    file = form.format(absolute=secret)
    point(relu_bundle, place, file, sha256(b"secret"))
    with pytest.raises(BadFile, match="outside the bundle. Do not use this bundle") as caught:
        bundle.load(relu_bundle)
    assert file in caught.value.seen


@pytest.mark.parametrize("file", ["", ".", "golden", "golden/"])
def test_a_path_that_is_no_file_is_refused(file: str, relu_bundle: Path) -> None:
    point(relu_bundle, "content", file, "0" * 64)
    with pytest.raises(BadFile, match="it is missing"):
        bundle.load(relu_bundle)


def test_a_path_with_a_nul_is_refused(relu_bundle: Path) -> None:
    point(relu_bundle, "content", "a\0b", "0" * 64)
    with pytest.raises(BadFile):
        bundle.load(relu_bundle)


@pytest.mark.parametrize("name", ["x/../../../outside", "a/b", "", "new\nline", "a\0b"])
def test_an_artifacts_name_that_cannot_be_a_file_name_is_refused(name: str, relu_bundle: Path) -> None:
    edit(relu_bundle, lambda content: content["artifacts"][0].update(name=name))
    with pytest.raises(BadFile):
        bundle.load(relu_bundle)


# ------------------------------------------------------------------ what is no bundle


def test_a_newer_schema_is_refused_with_the_remedy(relu_bundle: Path) -> None:
    edit(relu_bundle, lambda content: content.update(schema_version=bundle.SCHEMA_VERSION + 1))
    with pytest.raises(BadFile, match=r"schema 5, but this edgebench reads only up to 4\. Upgrade edgebench"):
        bundle.load(relu_bundle)


def test_a_bundle_of_schema_1_is_read(relu_bundle: Path) -> None:
    def as_it_was(content: dict[str, Any]) -> None:
        content["schema_version"] = 1
        del content["failed"]
        for artifact in content["artifacts"]:
            golden = artifact["golden"]
            for name in ("inputs", "expected", "reference", "max_relative_error"):
                (golden[name],) = golden[name]

    edit(relu_bundle, as_it_was)
    found = bundle.load(relu_bundle)
    assert found.schema_version == bundle.SCHEMA_VERSION and found.failed == () and len(found.artifacts) == 2


def test_a_newer_schema_with_a_new_field_is_refused_with_the_same_remedy(relu_bundle: Path) -> None:
    edit(relu_bundle, lambda content: content.update(schema_version=bundle.SCHEMA_VERSION + 1, licence="MIT"))
    with pytest.raises(BadFile, match="Upgrade edgebench"):
        bundle.load(relu_bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "blue"}, "unknown field `colour`"),
        ({"artifacts": "many"}, "$.artifacts"),
        ({"artifacts": [{"name": "x", "format": "onnx", "precision": "fp32"}]}, "content"),
        ({"artifacts": [{"name": "x", "format": "gguf", "precision": "fp32", "content": {}}]}, "format"),
        ({"source": None}, "$.source"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place(change: dict[str, Any], said: str, relu_bundle: Path) -> None:
    edit(relu_bundle, lambda content: content.update(change))
    with pytest.raises(BadFile, match="it is not a bundle") as caught:
        bundle.load(relu_bundle)
    assert said in caught.value.seen


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_other_json_is_refused(text: str, relu_bundle: Path) -> None:
    (relu_bundle / "bundle.json").write_text(text)
    with pytest.raises(BadFile, match="Export it again with `edgebench export`"):
        bundle.load(relu_bundle)


def test_a_broken_byte_in_a_name_is_refused(relu_bundle: Path) -> None:
    path = relu_bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"relu-onnx", b"relu\xff-onnx", 1))
    with pytest.raises(BadFile):
        bundle.load(relu_bundle)


def test_a_folder_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="edgebench export"):
        bundle.load(tmp_path)


def test_the_newest_bundle_is_the_one_exported_last(relu_bundle: Path, tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old")):
        folder = tmp_path / "bundles" / name
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text("{}")
        os.utime(folder / "bundle.json", (10**9 - age, 10**9 - age))
    assert bundle.newest(tmp_path / "bundles") == tmp_path / "bundles/new"
    with pytest.raises(BadFile, match="Make one with `edgebench export`"):
        bundle.newest(tmp_path / "nothing")


# ------------------------------------------------------------------ loose files


def test_a_loose_file_is_an_artifact_without_promises(models: Path) -> None:
    artifact = bundle.loose_artifact(models / "relu.tflite")
    data = (models / "relu.tflite").read_bytes()
    assert (artifact.name, artifact.format, artifact.precision) == ("relu-tflite", "tflite", "unknown")
    assert artifact.content == bundle.FileRef("relu.tflite", sha256(data), len(data))
    assert artifact.golden is None and artifact.parity is None and artifact.macs is None


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my model (2).onnx", "my model (2)-onnx"),
        ("..hidden.onnx", "hidden-onnx"),
        ("a;rm -rf $HOME.onnx", "a;rm -rf $HOME-onnx"),
        ("v1.5_final.onnx", "v1.5_final-onnx"),
        ("größe.onnx", "größe-onnx"),
        ("моя сеть v1.2.onnx", "моя сеть v1.2-onnx"),
        ("a:b\x1b[2J\n.onnx", "a:b [2J-onnx"),
        (f"{'x' * 240}.onnx", f"{'x' * 120}-onnx"),
        ("---.onnx", "network-onnx"),
    ],
)
def test_a_loose_file_is_called_what_its_user_called_it(file: str, name: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"x")
    artifact = bundle.loose_artifact(tmp_path / file)
    assert artifact.name == name
    assert msgspec.convert(msgspec.to_builtins(artifact), bundle.Artifact) == artifact
    assert msgspec.convert(names.safe(name), limits.Name)


def test_names_that_look_alike_stay_apart_in_file_names() -> None:
    alike = ["a b", "a-b", "a:b", "a/b", "a_b", "сеть", "граф", "сеть v1.2", "граф v1.2", "x" * 150, "x" * 151]
    assert len({names.safe(one) for one in alike}) == len(alike)
    assert names.safe("v1.5_final-onnx") == "v1.5_final-onnx"


@pytest.mark.parametrize("file", ["model.caffemodel", "model.ONNX", "model", "model.onnx.gz"])
def test_a_file_that_no_target_runs_is_refused_with_those_that_one_does(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(BadFile, match=r"is not a format that targets run.*\.onnx, \.tflite, \.pt2"):
        bundle.loose_artifact(tmp_path / file)


def test_a_loose_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"gone\.onnx: there is no such file"):
        bundle.loose_artifact(tmp_path / "gone.onnx")


def test_artifacts_of_one_name_get_numbers(relu_bundle: Path, models: Path, tmp_path: Path) -> None:
    found = deploy.artifacts_at([relu_bundle, models / "relu.onnx", relu_bundle, models / "relu.onnx"])
    assert [source.artifact.name for source in found] == [
        "relu-onnx-fp32",
        "relu-tflite-fp32",
        "relu-onnx",
        "relu-onnx-fp32-2",
        "relu-tflite-fp32-2",
        "relu-onnx-2",
    ]
