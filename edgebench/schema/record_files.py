"""Records as files: results/<target>/<id>.json, written once, upgraded when they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgebench.errors import BadFile, UserError
from edgebench.files import untrusted
from edgebench.files.replacing import write_whole
from edgebench.schema import record_checks
from edgebench.schema.bundle import upgrade_artifact_3
from edgebench.schema.energy_reading import upgrade_1
from edgebench.schema.record import SCHEMA_VERSION, Record

KIND = untrusted.Kind("a record", SCHEMA_VERSION, "Move it away, or use another copy", 256 * 2**20)


def save(record: Record, results: Path) -> Path:
    """results/<target>/<id>.json, by renaming; an existing file is never overwritten.

    From then on it is the record's `path`. Saving the same record again is fine: collecting a job twice must not fail
    the second time. Raises UserError.
    """
    path = results / record.target.name / f"{record.id}.json"
    record.__dict__["path"] = path
    data = msgspec.json.encode(record) + b"\n"
    try:
        if path.exists():
            if path.read_bytes() != data:
                raise UserError(str(path), "another record has this name", "Move it away and deploy again")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise UserError(
            str(path), f"the record cannot be written ({error.strerror})",
            "Fix that and run the same command again: nothing is measured twice",
        ) from error  # fmt: skip
    return path


@dataclass(frozen=True)
class LoadedRecords:
    """The records among many files, and for each other file the reason."""

    records: list[Record]
    skipped: list[BadFile]


def load(path: Path) -> Record:
    """Raises BadFile for anything but a complete record with consistent values."""
    return decode(untrusted.read(path, KIND), path)


def decode(data: bytes, path: Path) -> Record:
    """The content of a file. Raises BadFile."""
    found = untrusted.decode(data, str(path), KIND, Record, upgrade)
    found.__dict__["path"] = path
    check(found)
    return found


def check(record: Record) -> None:
    """Raises BadFile for a record whose values contradict one another."""
    if wrong := record_checks.contradiction(record):
        raise BadFile(str(record.path), f"it is not a record ({wrong})", KIND.remedy)


def load_all(paths: Iterable[Path]) -> LoadedRecords:
    """A damaged file does not prevent the others from being read."""
    records: list[Record] = []
    skipped: list[BadFile] = []
    for path in paths:
        try:
            records.append(load(path))
        except BadFile as error:
            skipped.append(error)
    return LoadedRecords(records, skipped)


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Bring an older record's content to SCHEMA_VERSION, one version at a time."""
    if content["schema_version"] == 1:
        energy = [new for old in content.get("energy", ()) for new in upgrade_1(old)]
        # No precision was required then.
        plan = {"energy_precision": 1.0, **content["plan"]}
        content = {**content, "schema_version": 2, "energy": energy, "plan": plan}
    if content["schema_version"] == 2:
        content = {**content, "schema_version": 3}  # what was fed is unknown
    if content["schema_version"] == 3:
        content = {**content, "schema_version": 4}  # images had the size that they were stored with
    if content["schema_version"] == 4:
        content = {**content, "schema_version": 5, "artifact": upgrade_artifact_3(content["artifact"])}
        if golden := content.get("golden"):
            output = {name: value for name, value in golden.items() if name not in ("count", "outputs_base64")}
            output["values_base64"] = golden["outputs_base64"]
            content["golden"] = {"passed": golden["passed"], "count": golden["count"], "outputs": [output]}
    if content["schema_version"] == 5:
        content = {**content, "schema_version": 6}  # neither peaks nor errors against the parent were noted
    return content


def load_target(results: Path, target: str) -> LoadedRecords:
    """All records of one target, oldest first."""
    return load_all(sorted((results / target).glob("*.json")))
