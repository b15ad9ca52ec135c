"""What differs between a record and a published row, and how much of the gap between their times each part explains.

Gap: the logarithm of own time over published time, so that parts that multiply add up. The statistic is computed from
the record's own values; threads, runtime and precision are measured (`edgebench explain --against ROW --measure`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgebench import plugins
from edgebench.analysis import comparability, computed_precision, formatting, statistics_cache, stats, warm_values
from edgebench.analysis.published.row import PublishedFigure, Statistic, plain
from edgebench.errors import UserError
from edgebench.schema.record import Record

# A gap below this needs no explanation.
LEAST_GAP = 0.05
CHANGEABLE = ("threads", "runtime", "precision")


@dataclass(frozen=True)
class Differing:
    """A condition that differs. theirs: as published. can_change: by an option of `deploy` here."""

    name: str
    own: str
    theirs: str
    can_change: bool = False


@dataclass(frozen=True)
class GapPart:
    """share: of the gap that it explains; negative if it makes the gap wider. how: where that comes from."""

    name: str
    ns: float
    share: float
    how: str


@dataclass(frozen=True)
class AgainstRow:
    """own_ns: the record's median. unsaid: conditions that the row does not say. together: of all measured changes.

    unmeasured: what a job was to change and could not, with the row's value: `runtime ncnn`.
    """

    record: Record
    row: PublishedFigure
    own_ns: float
    differing: tuple[Differing, ...]
    unsaid: tuple[str, ...]
    parts: tuple[GapPart, ...] = ()
    together: GapPart | None = None
    unmeasured: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """log(own / published)"""
        return math.log(self.own_ns / self.row.ns)

    def facts(self) -> dict[str, object]:
        """Plain values."""
        return {
            "record": self.record.id, "artifact": self.record.artifact.name, "own_ns": self.own_ns, "row": self.row,
            "ratio": math.exp(self.gap), "differing": self.differing, "unsaid": self.unsaid, "parts": self.parts,
            "together": self.together, "unmeasured": self.unmeasured,
        }  # fmt: skip

    @property
    def needs_measuring(self) -> bool:
        """Whether there is a gap, and something that can be changed here."""
        return bool(self.to_change) and abs(self.gap) >= LEAST_GAP

    @property
    def to_change(self) -> list[Differing]:
        return [one for one in self.differing if one.can_change]


def against(record: Record, row: PublishedFigure) -> AgainstRow:
    """Without anything measured. Raises UserError for a record without times."""
    own_ns = statistic_ns(record, "median")
    differing = tuple(_conditions(record, row))
    unsaid = tuple(name for name, value in _said(row).items() if value is None)
    found = AgainstRow(record, row, own_ns, differing, unsaid)
    if row.statistic in (None, "median") or abs(found.gap) < LEAST_GAP:
        return found
    assert row.statistic is not None
    ns = statistic_ns(record, row.statistic)
    part = GapPart("statistic", ns, share(found, own_ns, ns), f"{row.statistic} of its own values")
    return replace(found, parts=(part,))


def with_measured(found: AgainstRow, records: Sequence[Record]) -> AgainstRow:
    """With the parts that a job shows in which the changeable conditions were varied, each alone and all together.

    records: of that job. Raises UserError if the record's own conditions are not among them.
    """
    row, changes = found.row, {one.name for one in found.to_change}
    own, statistic = _varied(found.record), row.statistic or "median"
    times = {_varied(one): statistic_ns(one, statistic) for one in records if one.rounds}
    if own not in times:
        raise UserError(
            found.record.artifact.name, "it could not be measured again here", "See the records of this job"
        )
    theirs = {"runtime": row.runtime, "threads": row.threads, "precision": row.precision}
    parts = list(found.parts)
    for name in CHANGEABLE:
        changed = tuple(theirs[one] if one == name else value for one, value in zip(CHANGEABLE, own, strict=True))
        if name in changes and changed in times:
            ns = times[changed]
            parts.append(GapPart(name, ns, share(found, times[own], ns), f"measured with {name} {theirs[name]}"))
    every = tuple(theirs[one] if one in changes else value for one, value in zip(CHANGEABLE, own, strict=True))
    together = None
    if every in times and every != own:
        of_statistic = sum(part.share for part in found.parts)
        together = GapPart("together", times[every], of_statistic + share(found, times[own], times[every]), "measured")
    known = {part.name for part in parts}
    unmeasured = tuple(f"{name} {theirs[name]}" for name in CHANGEABLE if name in changes - known)
    return replace(found, parts=tuple(parts), together=together, unmeasured=unmeasured)


def _varied(record: Record) -> tuple[object, ...]:
    """In the order of CHANGEABLE."""
    return record.target.threads, record.runtime.name, record.artifact.precision


def share(found: AgainstRow, before_ns: float, after_ns: float) -> float:
    return math.log(before_ns / after_ns) / found.gap if found.gap else 0.0


def statistic_ns(record: Record, statistic: Statistic) -> float:
    """Of single values, or of blocks where they were timed in blocks. Raises UserError without times."""
    median = stats.latency_ns(record.rounds, 0.5)
    if median is None:
        raise UserError(str(record.path or record.id), "it has no times", "Name a record that was measured")
    if statistic == "median":
        return median.value
    values = warm_values.of(statistics_cache.whole(record).rounds).pooled_ns
    if statistic == "p90":
        return float(values[int(0.9 * (len(values) - 1))])
    return float(values.min() if statistic == "minimum" else values.mean())


def _said(row: PublishedFigure) -> dict[str, object]:
    return {
        "threads": row.threads, "precision": row.precision, "runtime": row.runtime, "statistic": row.statistic,
        "device": row.device, "network": row.model, "input size": row.input_size, "batch": row.batch,
    }  # fmt: skip


def _conditions(record: Record, row: PublishedFigure) -> list[Differing]:
    """Those that both sides say, where they differ."""
    facts, artifact = record.facts_before, record.artifact
    found: list[Differing] = []

    def add(name: str, own: object, theirs: object, *, alike: bool | None = None, can_change: bool = False) -> None:
        if own is not None and theirs is not None and not alike and str(own) != str(theirs):
            found.append(Differing(name, str(own), str(theirs), can_change))

    names = [plain(name) for name in (artifact.model, artifact.name) if name]
    theirs = plain(row.model or "")
    add(
        "network",
        artifact.model or artifact.name,
        row.model,
        alike=any(theirs in one or one in theirs for one in names),
    )
    add("runtime", record.runtime.name, row.runtime, can_change=_runs_here(row.runtime))
    add("threads", record.target.threads, row.threads, can_change=True)
    computed = computed_precision.of(record).settled
    own_precision = None if artifact.precision == "unknown" else artifact.precision
    shown = " or ".join(computed) or own_precision
    is_same = row.precision == own_precision or row.precision in computed
    add("precision", shown, row.precision, alike=is_same, can_change=row.precision in ("fp32", "fp16", "int8"))
    add("statistic", "median", row.statistic)
    device = facts.model or facts.cpu or record.target.name
    said = [plain(one) for one in (facts.model, facts.cpu, record.target.name) if one]
    add("device", device, row.device, alike=any(_same_device(plain(row.device or ""), one) for one in said))
    add("batch", record.batch, row.batch)
    add("input size", comparability.fed(record) or None, row.input_size, alike=_same_size(record, row.input_size))
    add("weights", "trained" if artifact.parity and artifact.parity.accuracy else None, row.weights)
    if row.size_bytes and abs(row.size_bytes / artifact.size_bytes - 1) > 0.1:
        add("file size", formatting.size(artifact.size_bytes), formatting.size(int(row.size_bytes)))
    return found


def _same_device(theirs: str, own: str) -> bool:
    short = theirs.replace("raspberrypi", "pi").replace("rpi", "pi")
    return bool(theirs) and (theirs in own or short in own.replace("raspberrypi", "pi").replace("rpi", "pi"))


def _same_size(record: Record, theirs: str | None) -> bool:
    """The same numbers of pixels, however they are written: 640, 640x640, 1x3x640x640."""
    numbers = [int(part) for part in (theirs or "").replace(",", "x").split("x") if part.strip().isdecimal()]
    own = {size for one in record.fed for size in one.shape}
    return bool(numbers) and set(numbers) - {1, 3} <= own


def _runs_here(runtime: str | None) -> bool:
    return runtime in plugins.names("device_agents.python.runtimes")


def best_record(records: Sequence[Record], row: PublishedFigure) -> Record:
    """The one that has most in common with the row. Raises UserError where that is not one."""
    able = [one for one in records if one.rounds]
    if not able:
        raise UserError("--against", "none of these records has times", "Name a record that was measured")
    counts = [len(_conditions(one, row)) for one in able]
    best = [one for one, count in zip(able, counts, strict=True) if count == min(counts)]
    if len(best) > 1:
        named = ", ".join(str(one.path or one.artifact.name) for one in best[:4]) + ", ..." * (len(best) > 4)
        raise UserError("--against", f"{len(best)} records fit the row equally well ({named})", "Name one of them")
    return best[0]


def lines(found: AgainstRow, command: str) -> list[str]:
    """At most five. command: the next one."""
    row, record = found.row, found.record
    statistic = f" ({row.statistic})" if row.statistic else ""
    ratio = math.exp(found.gap)
    told = [
        f"{record.artifact.name}: {formatting.time(found.own_ns)} here (median), {formatting.time(row.ns)}{statistic} "
        f"by {row.form}: {formatting.significant(ratio)}x of the published time."
    ]
    if found.differing:
        named = "; ".join(f"{one.name} {one.own}, there {one.theirs}" for one in found.differing)
        told.append(f"What differs: {named}.")
    if found.unsaid:
        told.append(f"The row does not say: {', '.join(found.unsaid)}.")
    if abs(found.gap) < LEAST_GAP:
        told.append(f"There is no gap to explain: the two are within {LEAST_GAP:.0%}.")
    elif found.parts:
        parts = ", ".join(f"{one.name} {one.share:.0%}" for one in found.parts)
        told.append(f"What explains the gap: {parts}{_rest(found.together)}{_unmeasured(found)}.")
    elif found.unmeasured:
        told.append(f"What explains the gap is not known{_unmeasured(found)}.")
    return [*told[:4], *([f"Next: {command}"] if command else [])]


def _unmeasured(found: AgainstRow) -> str:
    return f"; it could not be measured here with {', '.join(found.unmeasured)}" if found.unmeasured else ""


def _rest(together: GapPart | None) -> str:
    if together is None:
        return ""
    left = 1 - together.share
    if left < 0:
        return f"; together {together.share:.0%}, more than all of it: what cannot be changed here works the other way"
    return f"; together {together.share:.0%}, so {left:.0%} is due to what cannot be changed here"
