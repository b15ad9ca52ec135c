"""publish: what is packed can be compared and measured again; what is damaged or made up is refused in one sentence."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebench import compare, deploy, publish, repeat
from edgebench.errors import BadFile, UserError
from edgebench.schema import publication, record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import run_cli
from tests.support.records import make_record, save_all

HERE = Target(name="here", transport="local")
Contents = dict[str, bytes]


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    made = [make_record(), make_record("net-onnx-int8", p50_ns=40_000.0), make_record(target="rpi5")]
    return [record_files.load(path) for path in save_all(tmp_path / "results", made)]


@pytest.fixture
def packed(records: list[Record], tmp_path: Path) -> Path:
    return publish.publish(records, tmp_path / "p.zip").path


def test_records_come_back_to_the_byte(records: list[Record], packed: Path) -> None:
    assert sorted(publication.load(packed), key=str) == sorted(records, key=str)
    with publication.opened(packed) as found:
        for one in records:
            assert one.path is not None
            assert found.raw(f"records/{one.target.name}/{one.id}.json") == one.path.read_bytes()
        assert found.content.repeat == "edgebench repeat p.zip"
        assert {one.verdict for one in found.content.records} <= {"valid", "suspect"}


def test_the_same_records_make_the_same_file_and_may_be_published_again(
    records: list[Record], packed: Path, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    assert publish.publish(records[::-1], tmp_path / "two" / "p.zip").path.read_bytes() == packed.read_bytes()
    third = publish.publish(publication.load(packed), tmp_path / "third.zip")
    assert sorted(publication.load(third.path), key=str) == sorted(records, key=str)


def test_it_is_compared_like_a_results_folder(packed: Path, tmp_path: Path) -> None:
    asked = compare.Asked((str(packed),))
    shown = compare.of_found(compare.find(tmp_path / "none", asked), asked, compare.Terms())
    assert {(row.record.target.name, row.record.artifact.name) for row in shown.rows} == {
        ("board", "net-onnx-fp32"), ("board", "net-onnx-int8"), ("rpi5", "net-onnx-fp32"),
    }  # fmt: skip
    asked = compare.Asked((str(tmp_path / "results"),), baseline=str(packed))
    shown = compare.of_found(compare.find(tmp_path / "none", asked), asked, compare.Terms())
    assert shown.is_against_earlier


def test_files_travel_with_it_and_are_measured_again_from_it(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    made = deploy.deploy(HERE, deploy.artifacts_at([relu_bundle])[:1], tiny_plan, tmp_path / "results")
    done = publish.publish(made, tmp_path / "p.zip", with_files=True, places=(relu_bundle,))
    assert done.content.records[0].has_file and not done.without
    shutil.rmtree(relu_bundle)
    with repeat.opened([done.path]) as wanted:
        ((record, folder),) = wanted
        options = repeat.RepeatOptions(jobs=1).also_in(folder)
        found = repeat.repeat(record, HERE, tmp_path / "mine", options)
    assert found.repeats[0].golden is not None and found.repeats[0].golden.passed


def test_what_is_not_at_hand_is_said(records: list[Record], tmp_path: Path) -> None:
    done = publish.publish(records, tmp_path / "p.zip", with_files=True, places=(tmp_path,))
    assert done.without == ("net-onnx-fp32", "net-onnx-int8")


# ------------------------------------------------------------------ damaged, and made by an enemy


def rewritten(packed: Path, change: Callable[[Contents], None], compress: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(packed) as found:
        contents = {name: found.read(name) for name in found.namelist()}
    change(contents)
    with zipfile.ZipFile(packed, "w", compress) as made:
        for name, content in contents.items():
            made.writestr(name, content)
    return packed


def manifest(contents: Contents, change: Callable[[dict[str, Any]], None]) -> None:
    found = json.loads(contents["publication.json"])
    change(found)
    contents["publication.json"] = json.dumps(found).encode()


def first_record(contents: Contents) -> str:
    return next(name for name in contents if name.startswith("records/"))


def other_value(contents: Contents) -> None:
    name = first_record(contents)
    contents[name] = contents[name].replace(b'"p', b'"q', 1)


def other_path(contents: Contents) -> None:
    contents["../evil.json"] = b"{}"
    entry = {"name": "../evil.json", "sha256": publication.entry("", b"{}").sha256, "size_bytes": 2}
    manifest(contents, lambda found: found["entries"].append(entry))


def renamed(contents: Contents) -> None:
    """A record under another record's time, and the list with it."""
    name = first_record(contents)
    other = name.replace("/20", "/19", 1)
    assert other != name
    contents[other] = contents.pop(name)
    contents["publication.json"] = contents["publication.json"].replace(name.encode(), other.encode())


ENEMIES: dict[str, Callable[[Contents], None]] = {
    "a record was changed": other_value,
    "a record is missing": lambda contents: contents.pop(first_record(contents)) and None,
    "there is more than is listed": lambda contents: contents.update({"files/" + "0" * 64: b"x"}),
    "a path leads out": other_path,
    "the list is no list": lambda contents: contents.update({"publication.json": b"[]"}),
    "the list is damaged": lambda contents: contents.update({"publication.json": b'{"schema_version": 1'}),
    "there is no list": lambda contents: contents.pop("publication.json") and None,
    "it is from the future": lambda contents: manifest(contents, lambda found: found.update(schema_version=99)),
    "it describes another record": lambda contents: manifest(
        contents, lambda found: found["records"][0].update(artifact="another")
    ),
    "it describes a record that is not in it": lambda contents: manifest(
        contents, lambda found: found["records"][0].update(entry="records/x/y.json")
    ),
    "it describes a record twice": lambda contents: manifest(
        contents, lambda found: found["records"].append(found["records"][0])
    ),
    "it describes one record fewer": lambda contents: manifest(contents, lambda found: found["records"].pop() and None),
    "a record has another name than its own": renamed,
    "it unpacks to a thousand times its size": lambda contents: contents.update({"README.txt": bytes(50_000_000)}),
}


@pytest.mark.parametrize("change", ENEMIES.values(), ids=ENEMIES)
def test_what_was_tampered_with_is_refused_in_one_sentence(change: Callable[[Contents], None], packed: Path) -> None:
    with pytest.raises(BadFile) as caught:
        publication.load(rewritten(packed, change))
    assert "\n" not in caught.value.seen and len(caught.value.seen) < 400


def test_a_byte_that_changed_anywhere_is_noticed(packed: Path) -> None:
    whole = packed.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            found = publication.load(packed)
        except BadFile as error:
            assert "\n" not in error.seen
        else:  # a date or another attribute of an entry, which nobody reads
            packed.write_bytes(whole)
            assert found == publication.load(packed)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_part_of_one_is_refused(share: float, packed: Path) -> None:
    whole = packed.read_bytes()
    packed.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError):
        publication.load(packed)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "no entries"])
def test_a_file_called_zip_is_refused_as_a_publication(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="publication"):
        compare.find(tmp_path, compare.Asked((str(path),)))


def test_a_zip_of_something_else_is_refused_by_the_commands(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr("hello.txt", "hello")
    for command in ("compare", "repeat"):
        ran = run_cli(command, "x.zip", cwd=tmp_path)
        assert ran.returncode == 1 and "is not a publication" in " ".join(ran.stderr.split())
        assert "Traceback" not in ran.stderr


def test_the_command_says_what_it_made_and_leaves_nothing_if_it_cannot(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    ran = run_cli("publish", "-o", "out.zip", cwd=tmp_path)
    assert ran.returncode == 0 and "1 record" in ran.stdout and "sha256" in ran.stdout
    ran = run_cli("publish", "-o", "no/such/out.zip", cwd=tmp_path)
    assert ran.returncode == 1 and "cannot be written" in ran.stderr
    assert run_cli("publish", "nowhere", "-o", "out2.zip", cwd=tmp_path).returncode == 1
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix == ".zip") == ["out.zip"]
