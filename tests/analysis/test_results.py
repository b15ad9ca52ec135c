"""Records that were kept: listed, shown and removed, damaged ones too; nothing outside the folder is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edgebench import cli, compare, publish, results
from edgebench.errors import UnknownName, UserError
from edgebench.results import WantedRecords
from tests.support.records import failed, make_record, save_all

OLD, NEW = "20261101T100000.000Z", "20261120T100000.000Z"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Four records, the newest of them failed, and a damaged file."""
    folder = tmp_path / "results"
    made = [
        make_record(name, target=target, created=OLD)
        for name in ("net-onnx-fp32", "net-onnx-int8")
        for target in ("board", "phone")
    ]
    save_all(folder, [*made, failed("net-onnx-int8", created=NEW)])
    (folder / "board" / f"{NEW}-net-tflite-int8.json").write_text("{")
    return folder


def typed(*words: str | Path, answer: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; errors as they are raised."""
    done = CliRunner().invoke(
        cli.app, list(map(str, words)), input=answer, catch_exceptions=False, standalone_mode=False
    )
    return done.exit_code if done.return_value is None else done.return_value, done.stdout, done.stderr


def test_the_list_names_every_record_and_every_damaged_file(kept: Path) -> None:
    code, out, err = typed("results", "list", "--results", kept)
    assert code == 1 and "5 records" in out and out.count("valid") - out.count("invalid") == 4
    assert "net-tflite-int8.json" in err.replace("\n", "") and "1 record could not be read" in err


@pytest.mark.parametrize(
    ("wanted", "count", "damaged"),
    [
        (WantedRecords(), 5, 1),
        (WantedRecords(target="phone"), 2, 0),
        (WantedRecords(pattern="*-int8"), 3, 1),
        (WantedRecords(pattern="phone/*"), 2, 0),
        (WantedRecords(pattern="litert"), 0, 0),
        (WantedRecords(pattern=f"{NEW}*"), 1, 1),
    ],
)
def test_filters(kept: Path, wanted: WantedRecords, count: int, damaged: int) -> None:
    found = results.results(kept, wanted)
    assert (len(found.records), len(found.damaged)) == (count, damaged)


def test_since_leaves_older_ones_out_and_json_has_what_is_left(kept: Path) -> None:
    code, out, _ = typed(
        "results", "list", "--since", "2026-11-10", "--results", kept, "--json", kept.parent / "x.json"
    )
    found = json.loads((kept.parent / "x.json").read_text())
    assert code == 1 and "1 record" in out
    assert [one["verdict"] for one in found["records"]] == ["invalid"] and len(found["damaged"]) == 1


@pytest.mark.parametrize("name", [f"board/{OLD}-net-onnx-fp32", "board/20261101T100000.000Z-net-onnx-f", "path"])
def test_one_record_by_name_beginning_or_path(kept: Path, name: str) -> None:
    path = kept / "board" / f"{OLD}-net-onnx-fp32.json"
    code, out, _ = typed("results", "show", path if name == "path" else name, "--results", kept)
    assert code == 0 and "p50       50.0 µs" in out and "verdict   valid" in out and "Cortex-A72" in out


def test_names_that_fit_none_or_several_are_refused(kept: Path) -> None:
    with pytest.raises(UserError, match="2 records are called so: board/.*Give more of the name"):
        results.found(kept, f"{OLD}-net-onnx-fp32")
    with pytest.raises(UnknownName, match="there is no 'nothing'"):
        results.found(kept, "nothing")
    with pytest.raises(UnknownName, match="Did you mean 'board'"):
        results.results(kept, WantedRecords(target="bord"))


def test_removing_asks_first_and_says_what_it_removed(kept: Path) -> None:
    words = ("results", "rm", "--target", "board", "--pattern", "*-int8", "--results", kept)
    before = sorted(kept.glob("*/*"))
    _, out, _ = typed(*words, "--dry-run")
    assert out.count(".json") == 3 and "3 records would be removed" in out
    with pytest.raises(typer.Abort):
        typed(*words, answer="n\n")
    assert sorted(kept.glob("*/*")) == before
    code, out, _ = typed(*words, "--yes")
    assert (
        code == 0
        and "3 records removed" in out
        and [path.name for path in (kept / "board").iterdir()] == [f"{OLD}-net-onnx-fp32.json"]
    )


def test_the_folder_of_a_target_goes_with_its_last_record(kept: Path) -> None:
    typed("results", "rm", "--target", "phone", "--yes", "--results", kept)
    assert not (kept / "phone").exists() and (kept / "board").exists()


def test_a_link_is_removed_and_what_it_leads_to_stays(kept: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("mine")
    (kept / "board" / "link.json").symlink_to(outside)
    results.remove(results.to_remove(kept, ["board/link"], WantedRecords()))
    assert outside.read_text() == "mine" and not (kept / "board" / "link.json").is_symlink()


def test_nothing_outside_the_folder_is_removed(kept: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "board"
    outside.mkdir(parents=True)
    (outside / "mine.json").write_text("mine")
    (kept / "linked").symlink_to(outside)
    (kept / "board" / "notes.txt").write_text("mine")
    for name in (outside / "mine.json", "linked/mine", kept / "linked" / "mine.json", kept / "board" / "notes.txt"):
        with pytest.raises(UserError, match="no record inside"):
            results.to_remove(kept, [str(name)], WantedRecords())
    assert (outside / "mine.json").exists()


def test_all_is_never_meant_by_giving_nothing(kept: Path) -> None:
    assert typed("results", "rm", "--results", kept)[0] == 2
    assert typed("results", "rm", "name", "--target", "board", "--results", kept)[0] == 2


def test_a_publication_is_listed_and_shown_like_a_folder_and_nothing_is_removed_from_it(
    kept: Path, tmp_path: Path
) -> None:
    packed = publish.publish(results.results(kept).records, tmp_path / "p.zip").path
    code, out, _ = typed("results", "list", "*-fp32", "--target", "phone", "--results", packed)
    assert code == 0 and "1 record" in out
    assert typed("results", "show", f"phone/{OLD}-net-onnx-fp32", "--results", packed)[0] == 0
    with pytest.raises(UserError, match="nothing is removed from a publication"):
        typed("results", "rm", "--yes", "--target", "phone", "--results", packed)


def test_a_folder_that_is_not_there_and_a_pattern_that_fits_nothing_are_said_so(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        typed("results", "list", "--results", tmp_path / "nowhere")
    assert "nothing was removed" in typed("results", "rm", "--yes", "--pattern", "[", "--results", kept)[1]


def test_a_record_file_may_be_the_baseline_of_compare_and_must_be_of_the_same_target(kept: Path) -> None:
    board, phone = (str(kept / target / f"{OLD}-net-onnx-fp32.json") for target in ("board", "phone"))
    assert [len(one.records) for one in compare.find(kept, compare.Asked((board,), board))] == [1, 1]
    with pytest.raises(UserError, match="no earlier self of any of these files"):
        compare.find(kept, compare.Asked((board,), phone))
