"""By how much jobs of one identical file differed when a target compared a file with itself (`edgebench selftest`).

Kept beside the user's cache, one file a target, for comparisons whose records do not show it. It holds for the machine
that it was measured on: another processor or model under the same name has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from edgebench.analysis.between_jobs import FREEDOM_MIN, Deviation
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.files.replacing import write_whole
from edgebench.schema.record import Record


class SelftestBand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """log, freedom, reach: as in `Deviation`. created: when."""

    target: str
    model: str | None
    cpu: str | None
    created: str
    log: float
    freedom: int
    reach: float


def keep(found: Deviation, record: Record) -> None:
    """Of jobs on the record's target. A cache that cannot be written costs later comparisons their default."""
    facts, target = record.facts_before, record.target.name
    band = SelftestBand(target, facts.model, facts.cpu, record.created, found.log, found.freedom, found.reach)
    with suppress(UserError), cache.writing():
        _path(target).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_path(target), msgspec.json.encode(band))


def of_targets(records: Iterable[Record]) -> dict[str, Deviation]:
    """By target, for each that has a band of the same device."""
    devices = {one.target.name: (one.facts_before.model, one.facts_before.cpu) for one in records}
    found = {}
    for target, device in devices.items():
        band = _load(target)
        if band is not None and (band.model, band.cpu) == device and band.freedom >= FREEDOM_MIN:
            found[target] = Deviation(band.log, band.freedom, band.reach, selftest=band.created)
    return found


def _load(target: str) -> SelftestBand | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_path(target).read_bytes(), type=SelftestBand)
    return None


def _path(target: str) -> Path:
    return cache.folder() / "selftest" / f"{target}.json"
