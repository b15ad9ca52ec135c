"""Accuracy against the Efficiency Index of the PLOS study: one number from inference time and energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebench.analysis import stats
from edgebench.analysis.formatting import NOTHING, significant
from edgebench.schema.estimate import Estimate
from edgebench.studies.study.figures import _approaches, _cells, _devices, _values
from edgebench.studies.study.figures._devices import EnergyOrigin, Setting
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults

if TYPE_CHECKING:
    from edgebench.studies.study.figures import _charts

HEADING = "Accuracy against Efficiency Index"
FORMULA = "EI = 1 - 1/2 (AIT / AIT_max + TIE / TIE_max)"
TIME_ONLY = "time-only index = 1 - AIT / AIT_max"


def index(times: Sequence[float], energies: Sequence[float] | None) -> list[float]:
    """0 for the worst on both, towards 1 for the best; from the times alone if there are no energies. Any units."""
    shares = [time / max(times) for time in times]
    if energies is None:
        return [1 - share for share in shares]
    return [1 - (share + energy / max(energies)) / 2 for share, energy in zip(shares, energies, strict=True)]


@dataclass(frozen=True)
class Placed:
    """A network in one setting. energy_j: None if no meter measured all networks of the setting."""

    label: str
    variant: VariantResults
    time_ms: Estimate
    energy_j: float | None
    index: float


def render(results: Results) -> Section:
    settings = _devices.settings(results)
    if not settings:
        return Section(HEADING, "No file of this study was timed on a device, so there is no index.")
    from edgebench.studies.study.figures import _charts

    rows: list[tuple[str, ...]] = []
    panels = []
    sources = []
    for where in settings:
        for family, variants in _values.families(results).items():
            timed = [(label, one) for label, one in variants if _devices.latency_ms(one, where)]
            if not timed:
                continue
            source = _source([one for _, one in timed], where)
            placed = _placed(timed, where, source)
            sources.append(source)
            rows += [_row(one, where, source) for one in placed]
            panels.append((f"{family}, {where}", _panel(placed, source)))
    columns = (
        "network", "short", "setting", "test accuracy, %", "AIT: p50 of one inference, ms",
        "TIE: net energy of one inference, J", "index (0 to 1)",
    )  # fmt: skip
    return Section(HEADING, _text(sources), ReportTable(columns, tuple(rows)), _charts.panels(panels))


def _panel(placed: Sequence[Placed], source: EnergyOrigin | None) -> Any:
    from edgebench.studies.study.figures import _charts

    return _charts.scatter(
        [_point(one) for one in placed],
        x="EI" if source else "time-only index",
        y="test accuracy, %",
        colours=_approaches.COLOURS,
        crosses=[_approaches.DENSE],
    )


def _text(sources: Sequence[EnergyOrigin | None]) -> str:
    text = (
        "Maxima are over the variants of one network in one setting. The study's AIT is the time of a batch of four, "
        "its TIE the energy of the whole test split: the unit does not change the index. S, M: small, medium; the "
        "number: ratio in percent; L, G: layer-wise, global; PT, SET: pruned before training, sparse evolutionary "
        "training."
    )
    known = sorted({str(one) for one in sources if one})
    if known:
        text = f"{FORMULA}. {text} Energy: {', '.join(known)}."
    if not all(sources):
        text += f" If no meter measured the energy of every variant, TIE is missing and this is not an EI: {TIME_ONLY}."
    return text


def _source(variants: Sequence[VariantResults], where: Setting) -> EnergyOrigin | None:
    """The most trustworthy meter that measured an energy of every one of them, if there is one.

    An energy that is not positive after subtracting the idle power, being lost in the noise, does not count.
    """
    known = [{source for source, joules in _devices.energies_j(one, where).items() if joules > 0} for one in variants]
    order = [*_values.PROVENANCES, "unavailable"]
    return min(set.intersection(*known), key=lambda one: (order.index(one.provenance), str(one)), default=None)


def _placed(timed: Sequence[tuple[str, VariantResults]], where: Setting, source: EnergyOrigin | None) -> list[Placed]:
    times = [time for _, one in timed if (time := _devices.latency_ms(one, where))]
    energies = [_devices.energies_j(one, where)[source] for _, one in timed] if source else None
    indices = index([time.value for time in times], energies)
    return [
        Placed(label, variant, times[number], energies[number] if energies else None, indices[number])
        for number, (label, variant) in enumerate(timed)
    ]


def _point(one: Placed) -> _charts.Point:
    from edgebench.studies.study.figures import _charts

    right = stats.mean([_values.accuracy_percent(run) for run in one.variant.runs])
    approach, short = _approaches.approach(one.variant), _approaches.short(one.variant)
    return _charts.Point(one.index, right.value, approach, short, right.low, right.high)


def _row(one: Placed, where: Setting, source: EnergyOrigin | None) -> tuple[str, ...]:
    return (
        one.label,
        _approaches.short(one.variant),
        str(where),
        _cells.decimals(_values.over_seeds(one.variant, _values.accuracy_percent), 2),
        _cells.with_spread(one.time_ms),
        NOTHING if one.energy_j is None else f"{significant(one.energy_j)} ({source})",
        f"{one.index:.3f}" + ("" if source else " (time only)"),
    )
