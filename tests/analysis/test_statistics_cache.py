"""Records that were read before come with their statistics: the same tables and reports, to the last digit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from edgebench import compare
from edgebench.analysis import causes, selection, statistics_cache
from edgebench.analysis.causes.evidence import Evidence, Wanted
from edgebench.analysis.published import difference
from edgebench.analysis.report import csv, markdown
from edgebench.files import cache as cache_
from edgebench.schema import plan, record_files
from edgebench.schema.record import Record
from tests.support.records import make_record, save_all

COUNT = 24


def timed(number: int, **changes: object) -> Record:
    made = make_record(f"net{number:02d}-onnx-fp32", p50_ns=50_000.0 + 10 * number, job=f"job-{number // 8}", **changes)
    rounds = tuple(msgspec.structs.replace(one, duration_ns=sum(one.values_ns)) for one in made.rounds)
    return msgspec.structs.replace(made, rounds=rounds)


def shown(results: Path) -> tuple[str, str]:
    found = selection.select(results, [])
    made = compare.compare(found.records, history=compare.history(found))
    return markdown.render(made), csv.render(made)


def test_a_second_reading_shows_the_same_as_the_first_and_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    save_all(results, [timed(number) for number in range(COUNT)])
    first = shown(results)
    with monkeypatch.context() as patched:
        patched.setattr(record_files, "decode", None)  # no file is decoded again
        assert shown(results) == first
    monkeypatch.setattr(statistics_cache, "_FILES_MIN", 10_000)
    assert shown(results) == first


def test_a_changed_file_is_read_anew_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    paths = save_all(results, [timed(number) for number in range(COUNT)])
    shown(results)
    changed = msgspec.structs.replace(timed(0), edgebench="9.9")
    paths[0].write_bytes(msgspec.json.encode(changed))
    paths[1].write_text("{")
    found = selection.select(results, [])
    assert found.records[0].edgebench == "9.9" and len(found.skipped) == 1 and len(found.records) == COUNT - 1


@pytest.mark.parametrize("how", ["damaged", "entries", "folder"])
def test_a_damaged_cache_costs_time_alone(how: str, tmp_path: Path, cache: Path) -> None:
    results = tmp_path / "results"
    save_all(results, [timed(number) for number in range(COUNT)])
    first = shown(results)
    path = cache / "statistics.sqlite"
    assert cache_.folder() == cache
    if how == "entries":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE kept SET value = x'00'")
    else:
        path.unlink()
        path.mkdir() if how == "folder" else path.write_bytes(b"no database" * 1000)
    assert shown(results) == first


def test_plans_whose_values_are_needed_later_are_read_in_full(tmp_path: Path) -> None:
    results = tmp_path / "results"
    paced = [timed(number, plan=plan.duty("duty:5")) for number in range(COUNT)]
    save_all(results, paced)
    for _ in range(2):
        assert selection.select(results, []).records == paced


def test_what_needs_values_has_all_of_them_of_looked_up_records(tmp_path: Path) -> None:
    """How often a deadline is missed, and the quickest inference: medians of rounds do not show either."""
    made = [timed(number) for number in range(COUNT)]
    save_all(tmp_path / "results", made)
    deadline = Wanted(deadline_ns=50_000.0)
    for _ in range(2):
        found = selection.select(tmp_path / "results", []).records
        assert [difference.statistic_ns(one, "minimum") for one in found] == [
            difference.statistic_ns(one, "minimum") for one in made
        ]
        late = [
            [one.answer for one in causes.explain(Evidence(records, wanted=deadline)) if one.family == "deadline"]
            for records in (found, made)
        ]
        assert late[0] == late[1] and len(late[0]) == COUNT
