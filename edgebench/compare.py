"""compare: records -> one table; what must not be compared gets a reason in place of a ratio.

records ─ verdict ─ estimates ─ conditions alike? ─ ratio to the baseline ─ outcome ─ checks ─ outputs bit by bit
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path

from edgebench.analysis import (
    baselines,
    between_jobs,
    comparability,
    device_scores,
    energy_ratios,
    gate,
    labels,
    ratios,
    record_statistics,
    resolution,
    same_outputs,
    selftest_band,
    stats,
)
from edgebench.analysis.between_jobs import Deviation
from edgebench.analysis.comparison import Comparison, ComparisonRow, ShipLimits
from edgebench.analysis.ratios import EQUIVALENCE_MARGIN, Ratio
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.analysis.selection import Selection, is_results_folder, joined, key, of_folder, runs, select
from edgebench.analysis.stats import AccuracyChange
from edgebench.energy import per_inference
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.errors import UserError
from edgebench.schema import record_files
from edgebench.schema.record import Record

_MOST_NAMED = 5


@dataclass(frozen=True)
class Terms:
    """How records are compared. margin: equal within this fraction counts as equivalent. anyway: give ratios although
    conditions differ that must be equal. intensity_g_per_kwh: from the user; default: that of the country given to
    `deploy --carbon`. limits: of a file that is worth shipping. checks: of
    `--fail-if`.
    """

    margin: float = EQUIVALENCE_MARGIN
    anyway: bool = False
    intensity_g_per_kwh: float | None = None
    limits: ShipLimits = ShipLimits()
    checks: tuple[gate.Check, ...] = ()


@dataclass(frozen=True)
class Asked:
    """names, baseline: as typed; the baseline may be a results folder or a record file. every: all runs of each
    file; after: those since then.
    """

    names: tuple[str, ...] = ()
    baseline: str | None = None
    every: bool = False
    after: datetime | None = None

    @property
    def earlier(self) -> Path | None:
        """A results folder or file whose files are the earlier selves of the others."""
        if self.baseline is not None:
            is_path = Path(self.baseline).is_file() or is_results_folder(self.baseline)
            return Path(self.baseline) if is_path else None
        is_pair = len(self.names) == 2 and all(map(is_results_folder, self.names))
        return Path(self.names[0]) if is_pair else None


def find(results: Path, asked: Asked) -> list[Selection]:
    """What the command line names: one selection, or two to be compared with each other, the earlier first.

    Two folders without a file in common are shown side by side.
    """
    if asked.earlier is None:
        return [select(results, asked.names, every=asked.every, after=asked.after)]
    others = asked.names if asked.baseline is not None else asked.names[1:]
    earlier = select(results, [str(asked.earlier)]) if asked.earlier.is_file() else joined(of_folder(asked.earlier))
    sides = [earlier, select(results, others, after=asked.after)]
    keys = [{key(one) for one in side.records} for side in sides]
    if keys[0] & keys[1]:
        return sides
    if asked.baseline is not None and all(keys):
        there = ", ".join(sorted({f"{target}/{artifact}" for target, artifact, *_ in keys[0]})[:_MOST_NAMED])
        raise UserError(
            f"--baseline {asked.baseline}", f"it has no earlier self of any of these files (it has {there})",
            "Name earlier results of the same files on the same target, runtime and threads",
        )  # fmt: skip
    return sides if asked.baseline is not None else [joined(sides)]


def of_found(found: Sequence[Selection], asked: Asked, terms: Terms) -> Comparison:
    if len(found) == 2:
        made = against_earlier(*found, terms=terms)
    else:
        (only,) = found
        made = compare(only.records, baseline=asked.baseline, history=history(only), terms=terms, older=only.older)
    passed_over = tuple(record for one in found for record in one.passed_over)
    return replace(made, checks=gate.judge(made, terms.checks), passed_over=passed_over)


# The jobs that measured the same file under the same conditions, oldest first; the record's own is among them.
Jobs = Callable[[Record], Sequence[Record]]


def compare(
    records: Sequence[Record],
    *,
    baseline: str | None = None,
    history: Iterable[Record] = (),
    terms: Terms = Terms(),  # noqa: B008 - frozen
    older: int = 0,
) -> Comparison:
    """One row per record, in the given order.

    baseline: an artifact's name, target/artifact, or label/artifact; default: the first row. Invalid records are never
    the baseline and have no ratio. Times of emulated targets are compared only with the same target's. history: further
    records, which show by how much two jobs of one file differ on a target; `history` finds them. older: the number of
    runs that were left out for newer ones.
    """
    found = [record_statistics.of(record) for record in records]
    labelled = labels.of(records)
    chosen = baselines.choose(found, labelled, baseline)
    deviations = _deviations(records, history)
    rows = [
        _row(one, label, chosen.counterpart(one.record), deviations, terms)
        for one, label in zip(found, labelled, strict=True)
    ]
    return _comparison(rows, terms, older=older)


def against(
    records: Sequence[Record],
    baseline_of: Mapping[int, Record],
    *,
    history: Iterable[Record] = (),
    terms: Terms = Terms(),  # noqa: B008 - frozen
) -> Comparison:
    """Each record against one of its own. baseline_of: by the id() of a record that stands in `records`."""
    able = {id(one) for one in records if record_statistics.of(one).may_be_baseline}
    chosen = {own: base for own, base in baseline_of.items() if id(base) in able}
    chosen |= {id(base): base for base in chosen.values()}
    deviations = _deviations(records, history)
    rows = [
        _row(record_statistics.of(one), label, chosen.get(id(one)), deviations, terms)
        for one, label in zip(records, labels.of(records), strict=True)
    ]
    made = replace(_comparison(rows, terms), is_against_earlier=True)
    return replace(made, checks=gate.judge(made, terms.checks))


def against_earlier(earlier: Selection, later: Selection, *, terms: Terms = Terms()) -> Comparison:  # noqa: B008 - frozen
    """Each file of two result sets against its earlier self: two rows a file. All runs of a set count."""
    before = runs(earlier.records)
    records = [one for record in later.records for one in (*before.get(key(record), ())[-1:], record)]
    later_keys = set(map(key, later.records))
    records += [one for one in earlier.records if key(one) not in later_keys]
    found = [record_statistics.of(record) for record in records]
    labelled = labels.of_sides(records, earlier.records)
    is_earlier = {id(one) for one in earlier.records}
    chosen = {key(one.record): one.record for one in found if id(one.record) in is_earlier and one.may_be_baseline}
    series = [side.series or runs(side.records) for side in (earlier, later)]
    everything = [one for side in series for which in side.values() for one in which]
    deviations = _deviations(records, everything)

    def jobs(record: Record) -> Sequence[Record]:
        side = series[0 if id(record) in is_earlier else 1]
        same = [one for one in side.get(key(record), ()) if between_jobs.setting(one) == between_jobs.setting(record)]
        return [one for one in same if between_jobs.is_whole(one)]

    rows = [
        _row(one, label, chosen.get(key(one.record)), deviations, terms, jobs)
        for one, label in zip(found, labelled, strict=True)
    ]
    return replace(_comparison(rows, terms), is_against_earlier=True)


def _comparison(rows: Sequence[ComparisonRow], terms: Terms, older: int = 0) -> Comparison:
    """With what depends on all rows: chance, which finds something among many comparisons."""
    compared = [None if row.is_baseline else row.ratio for row in rows]
    adjusted = ratios.adjusted(compared)
    rows = [
        replace(row, ratio=ratio, resolution=resolution.of(ratio, row.record, row.baseline))
        if ratio is not None and row.baseline is not None
        else row
        for row, ratio in zip(rows, adjusted, strict=True)
    ]
    outputs = same_outputs.matches([row.record for row in rows])
    return Comparison(
        tuple(rows), outputs, terms.intensity_g_per_kwh, margin=terms.margin, older=older, limits=terms.limits
    )


def _deviations(records: Sequence[Record], history: Iterable[Record]) -> dict[str, Deviation]:
    """By target; needed only between jobs. What records do not show, the target's own selftest may."""
    if not _has_several_jobs(records):
        return {}
    once = {(one.id, one.path): one for one in chain(records, history)}
    ordered = sorted(once.values(), key=lambda one: one.created)
    return selftest_band.of_targets(records) | between_jobs.deviations(ordered)


def _has_several_jobs(records: Sequence[Record]) -> bool:
    return len({record.job for record in records}) > 1


def history(selected: Selection) -> Iterator[Record]:
    """If these records come from several jobs: all other readable records in the folders that they were loaded from."""
    if not _has_several_jobs(selected.records):
        return
    shown = {record.path for record in selected.records}
    loaded = {one.path: one for which in selected.series.values() for one in which}
    yield from (one for path, one in loaded.items() if path not in shown)
    targets = {record.target.name for record in selected.records}
    folders = {path.parent for path in shown if path is not None and path.parent.name in targets}
    for path in sorted({path for folder in folders for path in folder.glob("*.json")} - shown - loaded.keys()):
        with suppress(UserError):
            yield record_files.load(path)


def _row(
    one: RecordStatistics,
    label: str,
    chosen: Record | None,
    deviations: Mapping[str, Deviation],
    terms: Terms,
    jobs: Jobs | None = None,
) -> ComparisonRow:
    record, is_baseline = one.record, one.record is chosen
    baseline = None if one.verdict.level == "invalid" else chosen
    unlike = comparability.unlike(record, baseline) if baseline else ()
    unfair = tuple(str(each) for each in unlike if each.rule == "equal")
    fair_base = None if unfair and not terms.anyway else baseline
    ratio = _latency_ratio(record, fair_base, deviations, jobs) if fair_base else None
    spread = ratio.spread if ratio else None
    energy, no_energy = _energy(record)
    compared = energy if fair_base and not is_baseline else ()
    of_plan = record.plan.carbon_g_per_kwh, record.plan.carbon_source
    given = terms.intensity_g_per_kwh
    return ComparisonRow(
        **vars(one),
        label=label,
        energy=energy,
        no_energy=no_energy,
        energy_ratios=tuple(
            _with_margin(energy_ratios.ratio(record, fair_base, joules, spread), terms.margin)
            for joules in compared
            if fair_base
        ),
        is_baseline=is_baseline,
        baseline=baseline,
        ratio=ratios.with_margin(ratio, terms.margin) if ratio else None,
        no_ratio="" if ratio else _why_no_ratio(one, baseline, unfair),
        unlike=unlike,
        is_unfair=bool(unfair),
        accuracy_change=_accuracy_change(record, baseline) if baseline else None,
        score_change=device_scores.change(record, baseline) if baseline else None,
        intensity_g_per_kwh=of_plan[0] if given is None else given,
        intensity_source=of_plan[1] if given is None else "given by the user",
    )


def _with_margin(found: Ratio | str, margin: float) -> Ratio | str:
    return found if isinstance(found, str) else ratios.with_margin(found, margin)


def _latency_ratio(
    record: Record, baseline: Record, deviations: Mapping[str, Deviation], jobs: Jobs | None
) -> Ratio | None:
    if jobs is not None and record.job != baseline.job:
        own, base = jobs(record), jobs(baseline)
        if len(own) > 1 or len(base) > 1:
            return ratios.of_jobs(own, base, between_jobs.of_sides(own, base, deviations)) if own and base else None
    return ratios.latency_ratio(record, baseline, between_jobs.spread(record, baseline, deviations))


def _why_no_ratio(one: RecordStatistics, baseline: Record | None, unfair: Sequence[str]) -> str:
    if one.verdict.level == "invalid":
        return "its record is invalid"
    if baseline is None:
        return "no record can be the baseline"
    if unfair:
        fair = comparability.command(one.record, baseline)
        return f"{'; '.join(unfair)}. Measure both in one job: {fair}; or --anyway"
    return ratios.batches_unlike(one.record, baseline) or "one of the two has no rounds"


def _accuracy_change(record: Record, baseline: Record) -> AccuracyChange | None:
    if record is baseline or record.answers is None or baseline.answers is None:
        return None
    return stats.accuracy_change(record.answers, baseline.answers)


def _energy(record: Record) -> tuple[tuple[EnergyPerInference, ...], tuple[str, ...]]:
    """Joules from each meter that measured, and the reasons of the others, even if the job died before reading them."""
    if record.energy:
        return per_inference.of_record(record)
    missing = [f"{name}: {one.note}" for name, one in record.facts_before.meters.items() if not one.available]
    return (), tuple(missing) or ("no meter was used",)
