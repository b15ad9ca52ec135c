"""deploy(): new files and their baseline in one job, and the checks of `--fail-if` on them.

    new files ─ their baseline's files, by content ─ one job, round by round ─ checks ─ not resolved: once more, longer

Rounds of one job are paired, so that a difference of a few per cent is resolved, which it is not between two jobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edgebench import compare, publish
from edgebench import deploy as deploy_
from edgebench.analysis import gate, selection, statistics_cache
from edgebench.analysis.comparison import Comparison
from edgebench.deploy import DeployOptions
from edgebench.device import at_hand
from edgebench.device.local_artifacts import LocalArtifact, artifacts_at
from edgebench.errors import UserError
from edgebench.modelfile.feeding import InputRequest
from edgebench.progress import Progress, Silent
from edgebench.schema import bundle, publication
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

# What is not resolved is measured once more, for at least and at most so many times as long.
LEAST_LONGER, MOST_LONGER = 1.5, 3.0
ROUNDS_A_PROCESS, ROUNDS_MIN = 2, 12
_SUFFIX = "-baseline"


@dataclass(frozen=True)
class Gate:
    """baseline: a file or bundle, record files, a results folder or a publication; None: checks are budgets only.
    places: where the baseline's files are looked for by content. more: measure once more what is not resolved.
    """

    baseline: Path | None = None
    checks: tuple[gate.Check, ...] = ()
    places: tuple[Path, ...] = ()
    more: bool = True


@dataclass(frozen=True)
class Gated:
    """wanted: everything that was to be measured. apart: baseline records whose file is not at hand. longer: how many
    times as long it was measured again; 0 if it was not.
    """

    records: tuple[Record, ...]
    wanted: tuple[LocalArtifact, ...]
    comparison: Comparison
    apart: tuple[Record, ...] = ()
    longer: float = 0.0


@dataclass(frozen=True)
class _Pairs:
    """files: of the baseline, by the name of the new one. records: where there is no file."""

    new: tuple[LocalArtifact, ...]
    files: dict[str, LocalArtifact]
    records: dict[str, Record]

    @property
    def wanted(self) -> tuple[LocalArtifact, ...]:
        return (*self.new, *self.files.values())

    def only(self, names: set[str]) -> _Pairs:
        new = tuple(one for one in self.new if one.artifact.name in names)
        return _Pairs(new, {name: one for name, one in self.files.items() if name in names}, self.records)


Measure = Callable[[Sequence[LocalArtifact], Plan], list[Record]]


def deploy(
    target: Target,
    new: Sequence[LocalArtifact],
    plan: Plan,
    results: Path,
    options: DeployOptions = DeployOptions(),  # noqa: B008  (it is frozen)
    asked: Gate = Gate(),  # noqa: B008  (it is frozen)
    *,
    request: InputRequest = InputRequest(),  # noqa: B008  (it has no state)
    progress: Progress | None = None,
) -> Gated:
    """Measures, compares, and judges. request: how the baseline's loose files are fed. Raises UserError."""
    progress = progress or Silent()
    _check(asked, new)

    def measure(wanted: Sequence[LocalArtifact], with_plan: Plan) -> list[Record]:
        return deploy_.deploy(target, wanted, with_plan, results, options, progress=progress)

    plan = plan if asked.baseline is None else of_pairs(plan)
    with _pairs(asked, new, target, request) as pairs:
        for name, record in pairs.records.items():
            where = at_hand.said((*asked.places, *at_hand.places_of(record)))
            progress.say(f"{name}: the file of its baseline is not in {where}; compared between jobs, with its record")
        records = measure(pairs.wanted, plan)
        found = _judged(records, pairs, asked, results)
        times = _times(found, plan) if asked.more else 0.0
        if times:
            open_ = {one.name for one in found.checks if one.longer}
            progress.say(f"Not resolved: {', '.join(sorted(open_))}; measured once more, {times:.1f} times as long")
            again = measure(pairs.only(open_).wanted, longer(plan, records, times))
            if not any(one.outcome.status == "stopped" for one in again):
                records = _replaced(records, again)
                found = _judged(records, pairs, asked, results)
        return Gated(tuple(records), pairs.wanted, found, tuple(pairs.records.values()), times)


def of_pairs(plan: Plan) -> Plan:
    """Six processes or more a file. Where its memory lies shifts all rounds of a process alike: in one process each,
    two identical files of 2.4 µs were 4 % apart, and surely so by their rounds.
    """
    if plan.sustained or plan.duty_hz:
        return plan
    each = min(plan.rounds_per_process or ROUNDS_A_PROCESS, ROUNDS_A_PROCESS)
    return msgspec.structs.replace(plan, rounds_per_process=each, rounds_min=max(plan.rounds_min, ROUNDS_MIN))


def longer(plan: Plan, records: Sequence[Record], times: float) -> Plan:
    """So many times as many rounds as there were, however precise they are."""
    most = max((len(one.rounds) for one in records), default=0)
    return msgspec.structs.replace(
        plan,
        rounds_min=max(plan.rounds_min, math.ceil(times * most)),
        seconds_max=plan.seconds_max * times,
        precision=None,
    )


def _check(asked: Gate, new: Sequence[LocalArtifact]) -> None:
    """Before anything is measured. Raises UserError."""
    for check in asked.checks:
        if check.kind != "budget" and asked.baseline is None:
            raise UserError(
                "--fail-if", f"'{check.text}' is against a baseline, and there is none",
                "Name it (--baseline OLD.onnx, a bundle, or earlier results), or give a budget: latency_p50 < 20ms",
            )  # fmt: skip
    gate.check_names(asked.checks, [one.artifact.name for one in new])


def _judged(records: Sequence[Record], pairs: _Pairs, asked: Gate, results: Path) -> Comparison:
    terms = compare.Terms(checks=asked.checks)
    if asked.baseline is None:
        made = compare.compare(records)
        return replace(made, checks=gate.judge(made, asked.checks))
    measured = {_key(one): one for one in records}
    shown, baseline_of = [], {}
    for one in records:
        name = one.artifact.name
        if any(file.artifact.name == name for file in pairs.files.values()):
            continue
        base = pairs.records.get(name)
        if name in pairs.files:
            base = measured.get((pairs.files[name].artifact.name, *_key(one)[1:]))
        if base is not None:
            baseline_of[id(one)] = base
            shown.append(base)
        shown.append(one)
    history = _history(records, results) if pairs.records else []
    return compare.against(shown, baseline_of, history=history, terms=terms)


def _history(records: Sequence[Record], results: Path) -> list[Record]:
    folder = results / records[0].target.name
    known = {one.id for one in records}
    return [one for one in statistics_cache.load_all(sorted(folder.glob("*.json"))).records if one.id not in known]


def _times(found: Comparison, plan: Plan) -> float:
    """0 if nothing is left open that more rounds would resolve."""
    needed = [one.longer for one in found.checks if one.longer]
    if not needed or plan.sustained:
        return 0.0
    return min(max(LEAST_LONGER, 1.2 * max(needed)), MOST_LONGER)


def _replaced(records: Sequence[Record], again: Sequence[Record]) -> list[Record]:
    newer = {_key(one): one for one in again}
    return [newer.get(_key(one), one) for one in records]


def _key(record: Record) -> tuple[str, str, int]:
    """What is one record of a job."""
    return record.artifact.name, record.runtime.name, record.target.threads


# ------------------------------------------------------------------ which file is whose baseline


@contextmanager
def _pairs(asked: Gate, new: Sequence[LocalArtifact], target: Target, request: InputRequest) -> Iterator[_Pairs]:
    """Raises UserError if no new file has a baseline."""
    if asked.baseline is None:
        yield _Pairs(tuple(new), {}, {})
        return
    path = asked.baseline
    if _is_model(path):
        files = {one.artifact.name: one for one in artifacts_at([path], request)}
        yield _matched(path, new, files, {})
    elif publication.is_publication(path):
        with publish.unpacked(path) as (_, folder):
            yield _matched(path, new, *_of_records(path, (folder, *asked.places), target))
    else:
        yield _matched(path, new, *_of_records(path, asked.places, target))


def _is_model(path: Path) -> bool:
    return (path / "bundle.json").is_file() or (path.is_file() and path.suffix in bundle.FORMAT_OF_SUFFIX)


def _of_records(
    path: Path, places: tuple[Path, ...], target: Target
) -> tuple[dict[str, LocalArtifact], dict[str, Record]]:
    """By name: the files of the newest records on the target, and the records without one."""
    if not path.exists():
        raise UserError(
            f"--baseline {path}", "there is no such file or folder",
            "Give the old file or bundle, or a record, results folder or publication of it",
        )  # fmt: skip
    found = selection.select(path, [str(path)]).records
    records = [one for one in found if one.target.name == target.name]
    if not records:
        known = ", ".join(dict.fromkeys(one.target.name for one in found)) or "none that can be read"
        seen = f"it has no records of target '{target.name}' (targets there: {known})"
        raise UserError(f"--baseline {path}", seen, "Measure the old files there, or give them instead of records")
    files, apart = {}, {}
    for one in records:
        local = at_hand.find(one, (*places, *at_hand.places_of(one)))
        if local is None:
            apart[one.artifact.name] = one
        else:
            files[one.artifact.name] = local
    return files, apart


def _matched(
    path: Path, new: Sequence[LocalArtifact], files: dict[str, LocalArtifact], records: dict[str, Record]
) -> _Pairs:
    """By equal names; else by format and precision where each has one of these."""
    old = {name: one.artifact for name, one in files.items()} | {name: one.artifact for name, one in records.items()}
    kinds = [(one.artifact.format, one.artifact.precision) for one in new]
    old_kinds = [(one.format, one.precision) for one in old.values()]
    pairs = {}
    for one, kind in zip(new, kinds, strict=True):
        name = one.artifact.name
        if name in old:
            pairs[name] = name
        elif kinds.count(kind) == old_kinds.count(kind) == 1:
            pairs[name] = list(old)[old_kinds.index(kind)]
        elif len(new) == len(old) == 1:
            pairs[name] = next(iter(old))
    if not pairs:
        raise UserError(
            f"--baseline {path}", f"none of its files ({', '.join(old)}) is the earlier self of any of these",
            f"Name files of equal names, or one file each; new are: {', '.join(one.artifact.name for one in new)}",
        )  # fmt: skip
    taken = {one.artifact.name for one in new}
    return _Pairs(
        tuple(new),
        {name: _called(files[base], name, taken) for name, base in pairs.items() if base in files},
        {name: records[base] for name, base in pairs.items() if base in records},
    )


def _called(local: LocalArtifact, name: str, taken: set[str]) -> LocalArtifact:
    called = f"{name[:150]}{_SUFFIX}"
    while called in taken:
        called += _SUFFIX
    taken.add(called)
    return replace(local, artifact=msgspec.structs.replace(local.artifact, name=called))
