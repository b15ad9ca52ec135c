"""Statistics of records that were read before, by the content of their files: reading them again takes a tenth.

A record's values are needed once, for its statistics. Both are kept under the digest of the file and of the code that
computes them, with one value a round in place of all. Records whose values are needed later as well (windows, a pace,
heat) are read in full each time.
"""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from edgebench.analysis import record_statistics, warm_values
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.analysis.verdict import Level, Reason, Verdict
from edgebench.errors import BadFile
from edgebench.files import cache, untrusted
from edgebench.schema import record_files
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record
from edgebench.schema.record_files import KIND, LoadedRecords

# Fewer files are read as quickly as they are looked up.
_FILES_MIN = 20
_LIGHT = "without its values"
# The cache begins anew beyond this.
_BYTES_MAX = 2**30
_EDGEBENCH = Path(__file__).parents[1]
_COMPUTE = ("analysis", "energy", "modelfile", "schema")


class KeptStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record without its values, and what was computed of them. medians_ns: of its rounds."""

    record: Record
    medians_ns: list[float]
    level: Level
    reasons: list[Reason]
    p50_ns: Estimate | None
    p90_ns: Estimate | None
    p99_ns: Estimate | None
    no_quantiles: tuple[str, ...]
    throughput_hz: float | None
    curve_ns: tuple[float, ...]
    sample_ns: tuple[tuple[int, float], ...]


def load_all(paths: Iterable[Path]) -> LoadedRecords:
    """As `record_files.load_all`, each record with its statistics if they are known."""
    files = list(paths)
    if len(files) < _FILES_MIN:
        return record_files.load_all(files)
    records: list[Record] = []
    skipped: list[BadFile] = []
    with _Database() as database:
        for path in files:
            try:
                records.append(_load(path, database))
            except BadFile as error:
                skipped.append(error)
    return LoadedRecords(records, skipped)


def whole(record: Record) -> Record:
    """With all raw values: a record that was looked up has one a round. Raises BadFile if its file is gone."""
    if _LIGHT not in record.__dict__:
        return record
    assert record.path is not None
    return record_files.load(record.path)


def _load(path: Path, database: _Database) -> Record:
    data = untrusted.read(path, KIND)
    key = hashlib.sha256(data).digest()
    with suppress(msgspec.MsgspecError):
        if (kept := database.get(key)) is not None:
            return _restored(msgspec.msgpack.decode(kept, type=KeptStatistics), path)
    record = record_files.decode(data, path)
    if not _may_be_kept(record):
        return record
    found = record_statistics.of(record)
    made = _kept(found)
    database.put(key, msgspec.msgpack.encode(made))
    return _restored(made, path)


def _may_be_kept(record: Record) -> bool:
    plan = record.plan
    is_plain = not (plan.window_s_min or plan.sustained or plan.duty_hz)
    return is_plain and all(one.duration_ns is not None for one in record.rounds)


def _kept(found: RecordStatistics) -> KeptStatistics:
    record = found.record
    medians_ns = warm_values.medians_ns(record.rounds)
    rounds = tuple(
        msgspec.structs.replace(one, values_ns=(max(1, round(median)),))
        for one, median in zip(record.rounds, medians_ns, strict=True)
    )
    light = msgspec.structs.replace(record, rounds=rounds, warmup=())
    return KeptStatistics(
        light, list(medians_ns), found.verdict.level, list(found.verdict.reasons), found.p50_ns, found.p90_ns,
        found.p99_ns, found.no_quantiles, found.throughput_hz, found.curve_ns, found.sample_ns,
    )  # fmt: skip


def _restored(kept: KeptStatistics, path: Path) -> Record:
    record = kept.record
    record.__dict__["path"] = path
    record.__dict__[_LIGHT] = True
    warm_values.keep_medians(record.rounds, kept.medians_ns)
    verdict = Verdict(kept.level, tuple(kept.reasons))
    record_statistics.keep(
        RecordStatistics(
            record,
            verdict,
            kept.p50_ns,
            kept.p90_ns,
            kept.p99_ns,
            kept.no_quantiles,
            kept.throughput_hz,
            kept.curve_ns,
            kept.sample_ns,
        )
    )
    return record


class _Database:
    """In the cache folder; whatever is wrong with it, records are read all the same."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        path = cache.folder() / "statistics.sqlite"
        with suppress(OSError, sqlite3.Error):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > _BYTES_MAX:
                path.unlink()
            self._connection = sqlite3.connect(path, timeout=1)
            self._connection.execute("CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB)")
        return self

    def get(self, key: bytes) -> bytes | None:
        with suppress(sqlite3.Error):
            if self._connection is not None:
                row = self._connection.execute("SELECT value FROM kept WHERE key = ?", (key + _code(),)).fetchone()
                return None if row is None else bytes(row[0])
        return None

    def put(self, key: bytes, value: bytes) -> None:
        with suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key + _code(), value))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.commit()
            self._connection.close()


@functools.cache
def _code() -> bytes:
    """Changes with everything that statistics depend on."""
    digest = hashlib.sha256(msgspec.__version__.encode())
    series = _EDGEBENCH.parent / "device_agents" / "python" / "series.py"
    for path in sorted([series, *(one for room in _COMPUTE for one in (_EDGEBENCH / room).rglob("*.py"))]):
        with suppress(OSError):
            digest.update(path.read_bytes())
    return digest.digest()
