"""A user's own data in a study file: paths are relative to that file, and the content is part of what a step is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.networks import data, normalisation
from edgebench.networks.own_data import address
from edgebench.progress import Progress, Silent
from edgebench.schema.preprocessing import Geometry
from edgebench.studies.study.file import Part


@dataclass(frozen=True)
class StudyData:
    """address: as checkpoints keep it, an absolute path or a callable. content: sha256 over the images and labels."""

    address: str
    content: str


# By part, and by what the study file calls it; built-in data sets are not in it.
OwnData = Mapping[tuple[str, str], StudyData]


def located(name: str, folder: Path) -> str | None:
    """The address of own data, None for a built-in data set. Raises UnknownName, and BadFile where nothing is."""
    if data.plain_name(name).partition("?")[0] in data.names():
        return None
    where = name if address.is_callable(name) else str(folder.absolute() / Path(name).expanduser())
    if where == name or address.is_own(name, ()) or address.exists(where):
        return str(address.parse(where))
    raise UnknownName("data set", name, data.names())


def read(
    parts: Mapping[str, Part],
    folder: Path,
    needed: Collection[str],
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> OwnData:
    """Looks at every image once. needed: names of parts; data of others may be missing.

    Raises UserError for needed data that cannot be used.
    """
    found: dict[tuple[str, str], StudyData] = {}
    seen: dict[tuple[str, Geometry | None, int | None], StudyData] = {}
    for part_name, part in parts.items():
        channels = normalisation.channels_of(part.preprocessing)
        for name in part.datasets:
            try:
                where = located(name, folder)
                if where is None:
                    continue
                key = (where, part.geometry, channels)
                if key not in seen:
                    made = data.prepared(where, geometry=part.geometry, channels=channels, progress=progress)
                    seen[key] = StudyData(made.name, made.content)
                found[part_name, name] = seen[key]
            except UserError as error:
                if part_name in needed:
                    raise BadFile(f"part '{part_name}', {error.where}", error.seen, _in_a_file(error.remedy)) from error
    return found


def _in_a_file(remedy: str) -> str:
    """A remedy for whoever writes a study file, where it names options of commands."""
    return "Give the part a geometry: {resize: [256], crop: [224, 224]}" if "--resize" in remedy else remedy
