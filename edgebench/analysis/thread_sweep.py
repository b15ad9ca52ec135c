"""What `deploy --threads 1,2,4` found: how many threads are best for a file, and whether more of them pay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgebench.analysis.comparison import ComparisonRow
from edgebench.analysis.ratios import Ratio

Between = Callable[[ComparisonRow, ComparisonRow], Ratio | None]


def series(rows: Sequence[ComparisonRow]) -> list[list[ComparisonRow]]:
    """Rows of one file in one runtime of one job that differ in threads, the fewest first; without those alone."""
    found: dict[tuple[str, ...], list[ComparisonRow]] = {}
    for row in rows:
        record = row.record
        own = (record.job, record.target.name, record.artifact.name, record.runtime.name)
        if row.may_be_baseline and row.p50_ns is not None:
            found.setdefault(own, []).append(row)
    ordered = [sorted(one, key=threads) for one in found.values()]
    return [one for one in ordered if len(set(map(threads, one))) > 1]


def threads(row: ComparisonRow) -> int:
    """As requested."""
    return row.record.target.threads


def lines(rows: Sequence[ComparisonRow], shipped: ComparisonRow, between: Between) -> Iterator[str]:
    """One sentence about the series of the file to ship, with the number of other files where the same holds."""
    found = series(rows)
    own = next((one for one in found if shipped in one), None)
    if own is None:
        return
    chosen = best(own, between)
    alike = sum(threads(best(one, between)) == threads(chosen) for one in found)
    others = f" (the same in {alike} of {len(found)} pairs of file and runtime)" if len(found) > 1 else ""
    yield f"Threads: {_said(own, chosen, between)}{others}."


def best(own: Sequence[ComparisonRow], between: Between) -> ComparisonRow:
    """The fewest threads that no larger number is shown to be faster than, by more than the margin."""
    chosen = own[0]
    for row in own[1:]:
        if _pays(between(row, chosen)):
            chosen = row
    return chosen


def _pays(ratio: Ratio | None) -> bool:
    return ratio is not None and ratio.outcome == "different" and ratio.value < 1 and not ratio.within_margin


def _said(own: Sequence[ComparisonRow], chosen: ComparisonRow, between: Between) -> str:
    more = [(row, between(row, chosen)) for row in own if threads(row) > threads(chosen)]
    known = all(map(_is_resolved, [ratio for _, ratio in more]))
    best_ = f" {'is' if threads(chosen) == 1 else 'are'} best" if known else ""
    first = f"{threads(chosen)}{best_} for {chosen.record.artifact.name}"
    if chosen is not own[0]:
        first += f", {_shown(between(chosen, own[0]))} of the time with {threads(own[0])}"
    return "; ".join([first, *(_against(row, chosen, ratio) for row, ratio in more)])


def _against(row: ComparisonRow, chosen: ComparisonRow, ratio: Ratio | None) -> str:
    shown = f"{_shown(ratio)} of the time with {threads(chosen)}"
    if not _is_resolved(ratio):
        return f"whether {threads(row)} pay is not resolved ({shown})"
    return f"{threads(row)} do not pay ({shown})"


def _is_resolved(ratio: Ratio | None) -> bool:
    return ratio is not None and (ratio.outcome != "not resolved" or ratio.within_margin)


def _shown(ratio: Ratio | None) -> str:
    if ratio is None or ratio.low is None or ratio.high is None:
        return "an unknown share"
    return f"{ratio.value:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})"
