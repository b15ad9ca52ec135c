"""The answer of a comparison, in at most five lines: which file to ship, how sure that is, what to distrust.

For each target and each question (files of one network, of one test set, or of one job): the fastest file whose
accuracy is not below the float parent's by more than a margin, and that keeps the user's limits. Files whose times
cannot be told from it are named; of those that are the same within the margin, the smallest is chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgebench.analysis import comparability, device_scores, formatting, ratios, stats, thread_sweep
from edgebench.analysis.between_jobs import UNKNOWN, Spread
from edgebench.analysis.comparison import Comparison, ComparisonRow, ShipLimits
from edgebench.analysis.ratios import Ratio
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record

LINES_MAX = 5
_NEAREST = 100


@dataclass(frozen=True)
class ShipChoice:
    """For one question on one target.

    row: the file to ship; None if no file keeps the limits, or none can be trusted. like: files whose time cannot be
    told from its; refused: for each other file the limit that it breaks. parent: the float accuracy that others are
    held against, as a fraction; None if unknown. count: of all records there. baseline: the name of what the row's
    ratio is to, if that is on this target.
    """

    target: str
    row: ComparisonRow | None
    like: tuple[tuple[ComparisonRow, Ratio | None], ...] = ()
    refused: tuple[tuple[ComparisonRow, str], ...] = ()
    parent: float | None = None
    count: int = 0
    baseline: str = ""

    @property
    def is_emulated(self) -> bool:
        return self.row is not None and self.row.record.target.emulated


@dataclass(frozen=True)
class Answer:
    choices: tuple[ShipChoice, ...]
    lines: tuple[str, ...]


def of(comparison: Comparison, following: str = "") -> Answer:
    """following: the next command."""
    choices: tuple[ShipChoice, ...] = ()
    if comparison.is_against_earlier:
        lines = list(_of_changes(comparison))
    else:
        targets = dict.fromkeys(row.record.target.name for row in comparison.rows)
        choices = tuple(
            _choice(comparison, target, rows)
            for target in targets
            for rows in _questions([row for row in comparison.rows if row.record.target.name == target])
        )
        lines = list(_of_choices(choices, comparison))
    after = [*_of_doubts(comparison.rows), *([f"Next: {following}"] if following else [])]
    room = LINES_MAX + bool(thread_sweep.series(comparison.rows)) - len(after)
    if len(choices) > room:
        lines = [*lines[: room - 1], f"... and {len(choices) - room + 1} more networks: all of them are in --json."]
    return Answer(choices, tuple([*lines[:room], *after]))


def _questions(rows: Sequence[ComparisonRow]) -> list[list[ComparisonRow]]:
    """Rows that stand for the same thing: the fastest of unrelated networks would be an answer to nothing."""
    found: list[tuple[set[object], list[ComparisonRow]]] = []
    for row in rows:
        shared, own = _stands_for(row.record), [row]
        for other in [one for one in found if one[0] & shared]:
            found.remove(other)
            shared, own = shared | other[0], [*other[1], *own]
        found.append((shared, own))
    return [own for _, own in found]


def _stands_for(record: Record) -> set[object]:
    artifact, parity = record.artifact, record.artifact.parity
    keys: set[object] = {
        ("job", record.job),
        ("network", artifact.name.removesuffix(f"-{artifact.format}-{artifact.precision}")),
    }
    if parity is not None and parity.dataset:
        keys.add(("test set", parity.dataset, parity.images))
    if record.answers is not None:
        keys.add(("labels", record.answers.dataset, record.answers.labels_base64))
    return keys


def _choice(comparison: Comparison, target: str, rows: Sequence[ComparisonRow]) -> ShipChoice:
    able = [row for row in rows if row.may_be_baseline and row.ratio is not None]
    parent = _parent(able)
    refused = [(row, why) for row in able if (why := _broken(row, comparison.limits, parent))]
    left = [row for row in able if row not in [one for one, _ in refused]]
    if not left:
        return ShipChoice(target, None, (), tuple(refused), parent, len(rows))
    fastest = min(left, key=_per_image_ns)
    near = _near(left, fastest)
    pairs = [(row, between(row, fastest, comparison.margin)) for row in near]
    same = [fastest, *(row for row, ratio in pairs if ratio and ratio.within_margin)]
    chosen = min(same, key=lambda row: (row.record.artifact.size_bytes, thread_sweep.threads(row), _per_image_ns(row)))
    if chosen is not fastest:
        pairs = [(row, between(row, chosen, comparison.margin)) for row in (fastest, *near) if row is not chosen]
    like = tuple(
        (row, ratio) for row, ratio in pairs if ratio is None or ratio.outcome != "different" or ratio.within_margin
    )
    baseline = next((row.name for row in rows if row.record is chosen.baseline), "")
    return ShipChoice(target, chosen, like, tuple(refused), parent, len(rows), baseline)


def _near(rows: Sequence[ComparisonRow], fastest: ComparisonRow) -> list[ComparisonRow]:
    """The next ones whose p50 could be the fastest's, by as much as two jobs may differ; the nearest of very many."""
    limit_ns = _per_image_ns(fastest) * (1 + UNKNOWN)
    found = [row for row in rows if row is not fastest and _per_image_ns(row) <= limit_ns]
    return sorted(found, key=_per_image_ns)[:_NEAREST]


def _per_image_ns(row: ComparisonRow) -> float:
    assert row.p50_ns is not None
    return row.p50_ns.value / (row.record.batch or 1)


def between(row: ComparisonRow, other: ComparisonRow, margin: float) -> Ratio | None:
    """The ratio of two rows of one target; None if their conditions are not alike."""
    if any(one.rule == "equal" for one in comparability.unlike(row.record, other.record)):
        return None
    spread = None
    if row.record.job != other.record.job:
        known = [one.ratio.spread for one in (row, other) if one.ratio and one.ratio.spread]
        spread = next((one for one in known if one.is_known and one.same_target), Spread(None, None))
    found = ratios.latency_ratio(row.record, other.record, spread)
    return found and ratios.with_margin(found, margin)


def accuracy(row: ComparisonRow) -> Estimate | None:
    """On the device if it was measured there, else on the host; a fraction."""
    if row.device_accuracy is not None:
        return row.device_accuracy
    parity = row.record.artifact.parity
    if parity is None or parity.accuracy is None:
        return None
    return Estimate(parity.accuracy, *stats.wilson_interval(parity.accuracy * parity.images, parity.images))


def _parent(rows: Sequence[ComparisonRow]) -> float | None:
    """The best accuracy of a float network among the parents of these files, on the test set of the first of them."""
    found = [row.record.artifact.parity for row in rows]
    known = [parity for parity in found if parity is not None and parity.accuracy is not None]
    alike = [one for one in known if (one.dataset, one.images) == (known[0].dataset, known[0].images)]
    return max((one.parent_accuracy for one in alike if one.parent_accuracy is not None), default=None)


def _broken(row: ComparisonRow, limits: ShipLimits, parent: float | None) -> str:
    """The limit that a file does not keep, in words; empty if it keeps all."""
    found = accuracy(row)
    if limits.min_accuracy is not None and (found is None or found.value < limits.min_accuracy):
        return f"its accuracy is {'unknown' if found is None else f'{found.value:.2%}'}"
    if parent is not None and found is not None and found.value < parent - limits.max_drop:
        return f"it loses {100 * (parent - found.value):.1f} points of accuracy"
    metric, lost = device_scores.loss(row.record, row.score_change)
    if lost > limits.max_drop:
        return f"it loses {lost:.3f} of {metric}"
    assert row.p50_ns is not None
    if limits.max_s is not None and row.p50_ns.value > limits.max_s * 1e9:
        return f"it takes {formatting.time(row.p50_ns.value)}"
    if limits.max_bytes is not None and row.record.artifact.size_bytes > limits.max_bytes:
        return f"it has {formatting.size(row.record.artifact.size_bytes)}"
    if limits.max_j is not None:
        joules = min((one.shown_j.value for one in row.energy), default=None)
        if joules is None or joules > limits.max_j:
            return f"it takes {'unknown joules' if joules is None else formatting.joules(joules)}"
    return ""


def _of_choices(choices: Sequence[ShipChoice], comparison: Comparison) -> Iterator[str]:
    margin = comparison.margin
    several = len(choices) > 1
    places = len({choice.target for choice in choices})
    for choice in choices:
        where = f" on {choice.target}" if places > 1 or choice.is_emulated else ""
        where += " (by an emulator's clock)" if choice.is_emulated else ""
        if choice.row is None:
            yield _nothing(choice, where)
            continue
        yield f"{_ship(choice, where)}."
        if not several:
            yield from thread_sweep.lines(comparison.rows, choice.row, lambda row, base: between(row, base, margin))
            yield from _certainty(choice, choice.row, margin)


def _nothing(choice: ShipChoice, where: str) -> str:
    if not choice.refused:
        none = f"none of {choice.count} records gives" if choice.count > 1 else "its record does not give"
        return f"Nothing to ship{where}: {none} a time that can be compared."
    nearest, why = min(choice.refused, key=lambda one: _per_image_ns(one[0]))
    return f"No file{where} keeps the limits; the fastest is {nearest.name}, but {why}."


def _ship(choice: ShipChoice, where: str) -> str:
    row = choice.row
    assert row is not None and row.p50_ns is not None
    if choice.count == 1:
        return f"Only {row.name} was measured{where}: {formatting.estimate(row.p50_ns)}"
    ratio = row.ratio
    against = ""
    if ratio and not row.is_baseline and choice.baseline:
        against = f", {' '.join(formatting.ratio_parts(row))} of {choice.baseline}"
    size = formatting.size(row.record.artifact.size_bytes)
    return f"Ship {row.name}{where}: {formatting.estimate(row.p50_ns)}{against}, {size}"


def _certainty(choice: ShipChoice, row: ComparisonRow, margin: float) -> Iterator[str]:
    """Accuracy against the float parent's, and files that cannot be told apart; at most two lines."""
    if choice.like:
        yield _tie(choice.like, row.record.artifact.size_bytes, margin)
    found = accuracy(row)
    if found is not None and choice.parent is not None:
        change = _against_parent(row, found.value, choice.parent)
        low, high = change.ends
        yield (
            f"Accuracy {found.value:.1%}, {100 * change.value:+.1f} points against the float parent's "
            f"({100 * low:+.1f} to {100 * high:+.1f}){_faster_but(choice)}."
        )
    elif score := device_scores.first(row.record):
        against = f", {row.score_change.value:+.3f} against the baseline" if row.score_change else ""
        yield f"{device_scores.shown(score)}{against}."
    elif found is None:
        yield "Its accuracy is not known: deploy a bundle of `edgebench export`, or use --accuracy."


def _against_parent(row: ComparisonRow, found: float, parent: float) -> Estimate:
    """Image by image as far as it is known how many answers agree with this very parent's."""
    parity, answers = row.record.artifact.parity, row.record.answers
    images = answers.images if answers else parity.images if parity else 1
    agreement = parity.top1_agreement if parity and parity.parent_accuracy == parent else None
    is_hosts = parity is not None and (images, found) == (parity.images, parity.accuracy)
    if agreement is None or (answers is not None and not is_hosts):
        return stats.proportion_difference(found, parent, images, images)
    return stats.agreeing_difference(found, parent, agreement, images)


def _tie(like: Sequence[tuple[ComparisonRow, Ratio | None]], choice_bytes: int, margin: float) -> str:
    other, ratio = like[0]
    more = f" and {len(like) - 1} more" if len(like) > 1 else ""
    if ratio is None or ratio.low is None or ratio.high is None:
        return f"It cannot be told from {other.name}{more}: their conditions or jobs are not alike."
    span = f"{ratio.low:.2f}-{ratio.high:.2f}x of this one's time"
    if all(one and one.within_margin for _, one in like):
        smaller = other.record.artifact.size_bytes > choice_bytes
        return f"{other.name}{more}: the same within {margin:.0%} ({span}){', but larger' if smaller else ''}."
    return f"No difference in time to {other.name}{more} can be shown ({span})."


def _faster_but(choice: ShipChoice) -> str:
    """A faster file that was passed over for its accuracy."""
    assert choice.row is not None
    faster = [(row, why) for row, why in choice.refused if _per_image_ns(row) < _per_image_ns(choice.row)]
    if not faster:
        return ""
    row, why = min(faster, key=lambda one: _per_image_ns(one[0]))
    return f"; {row.name} is faster, but {why}"


def _of_changes(comparison: Comparison) -> Iterator[str]:
    """Two result sets: what became slower or faster, and what that rests on."""
    files = [row for row in comparison.rows if not row.is_baseline]
    rows = [row for row in files if row.ratio is not None]
    changed = [row for row in rows if row.outcome == "different"]
    for word, found in (
        ("Slower", [row for row in changed if row.ratio and row.ratio.value > 1]),
        ("Faster", [row for row in changed if row.ratio and row.ratio.value < 1]),
    ):
        if found:
            yield f"{word} than before: {_named(found, lambda row: ' '.join(formatting.ratio_parts(row)))}."
    unresolved = [row for row in rows if row.outcome == "not resolved"]
    if unresolved:
        named = _named(unresolved, lambda row: formatting.change(row.ratio.value - 1) if row.ratio else "")
        yield f"Not resolved in {len(unresolved)} of {len(files)} files: {named} (see the intervals)."
    same = sum(row.outcome == "equivalent" for row in rows)
    if same:
        counted = f"{same} of {len(files)} files {'are' if same > 1 else 'is'}" if len(files) > 1 else "The file is"
        yield f"{counted} as fast as before, within {comparison.margin:.0%}."
    if len(rows) < len(files):
        yield f"No ratio for {len(files) - len(rows)} of {len(files)} files: see the notes."


def _named(rows: Sequence[ComparisonRow], value: Callable[[ComparisonRow], str]) -> str:
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(f"{row.record.artifact.name} {value(row)}" for row in rows[:3]) + more


def _of_doubts(rows: Sequence[ComparisonRow]) -> Iterator[str]:
    """Counted by cause."""
    doubtful = [row for row in rows if row.verdict.level != "valid"]
    if not doubtful:
        return
    reasons = [{one.cause: one.level for one in reversed(row.verdict.reasons)} for row in doubtful]
    counts = Counter(cause for found in reasons for cause in found)
    invalid = {cause for found in reasons for cause, level in found.items() if level == "invalid"}
    ranked = sorted(counts, key=lambda cause: (cause not in invalid, -counts[cause]))
    named = ", ".join(f"{cause} ({counts[cause]})" for cause in ranked[:3])
    worst = "invalid" if invalid else "suspect"
    counted = f"{len(doubtful)} of {len(rows)} record{'s' * (len(rows) > 1)}"
    yield f"Distrust {counted} ({worst}): {named}; see the reasons (-v).{_holds(rows)}"


def _holds(rows: Sequence[ComparisonRow]) -> str:
    """What a noisy machine does not spoil."""
    paired = [row.ratio.paired for row in rows if row.ratio and not row.is_baseline]
    if not any(paired):
        return ""
    which = "Ratios" if all(paired) else "Ratios inside one job"
    return f" {which} hold: they are paired, round by round."
