"""The commands that measure and compare the same again."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence

from edgebench.analysis import same_again
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report.sections import PageSection
from edgebench.schema.record import Record

PLACE = 920
_TEXT = "Run where the files of the table above lie. The last one makes this page from the records again."
# Longer lists of records are named by their folders.
_MOST_PATHS = 20


def sections(comparison: Comparison) -> Iterator[PageSection]:
    records = [row.record for row in comparison.rows]
    jobs: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        jobs[record.job].append(record)
    commands = list(dict.fromkeys(map(_deploy, jobs.values())))
    if (made := _compare(records)) is not None:
        commands.append(made)
    if commands:
        yield PageSection("Commands", _TEXT, commands=tuple(commands))


def _deploy(job: Sequence[Record]) -> str:
    """As far as a record keeps what was typed."""
    first = job[0]
    typed = ["edgebench", "deploy", "--target", first.target.name, "--plan", first.plan.preset]
    typed += same_again.options(job)
    typed += ["--accuracy"] * any(record.answers or record.scored for record in job)
    typed += ["--energy"] * any(reading.windows for record in job for reading in record.energy)
    typed += ["--layers"] * any(record.layers for record in job)
    return shlex.join([*typed, *dict.fromkeys(record.artifact.content.file for record in job)])


def _compare(records: Sequence[Record]) -> str | None:
    paths = [record.path for record in records if record.path is not None]
    if not paths or len(paths) < len(records):
        return None
    if len(paths) > _MOST_PATHS:
        paths = list(dict.fromkeys(path.parent.parent for path in paths))
    return shlex.join(["edgebench", "compare", *map(str, paths), "--html", "report.html"])
