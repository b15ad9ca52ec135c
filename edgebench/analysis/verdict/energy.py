"""Reasons to doubt a record's joules; none of them changes a number."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from edgebench.analysis.verdict.reason import Reason
from edgebench.energy import per_inference
from edgebench.energy.per_inference import WINDOWS_MIN, EnergyPerInference
from edgebench.schema.energy_reading import EnergyReading, EnergyWindow
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record

# Shorter windows are measured but reported (MLPerf Tiny asks for 10 s).
WINDOW_MIN_S = 10.0
# Relative to the power of inferring: how far idle power may move over the windows.
DRIFT_SHARE = 0.03
# A share of an interval that counts as its cause.
CAUSE_SHARE = 0.7
# From this share of garbled answers on, the cable should be checked.
GARBLED_SHARE = 0.01

_BOARD = ("undervoltage", "freq_capped", "throttled", "soft_temp")
_REMEDY_OF_FLAG = {
    "gap": ("the meter fell silent for a moment", "Check its cable; watch it with `edgebench meters watch`"),
    "charging": (
        "the battery was being charged",
        "Unplug the charger; with a meter in the supply, charge the battery fully first",
    ),
    "voltage_assumed": ("the voltage was assumed, not measured", "Measure it, and set meter_volts in targets.yaml"),
    "column_map_guessed": ("the columns of the meter's lines were guessed", "Let it print an ebcsv header"),
    "aliasing": (
        "the meter samples in step with the load and may always catch the same phase of it",
        "Use a meter that averages or is faster, or another rate: --plan duty:N with an N that is not in step with it",
    ),
    "edge_extrapolated": ("the meter's values end inside a window", "Check its cable, then deploy again"),
}  # fmt: skip


def doubtful(record: Record) -> Iterator[Reason]:
    """For readings that give joules."""
    for reading in record.energy:
        found = per_inference.per_inference(reading)
        if found is None or per_inference.why_none(reading):
            continue
        of_all = (_of_precision(reading, found, record.plan), _of_windows(reading.windows), _of_idle(reading, found))
        for seen, remedy in (*(doubt for part in of_all for doubt in part), *_of_meter(reading), *_of_flags(reading)):
            yield Reason("suspect", f"energy by {reading.source}: {seen}", remedy)


def _of_precision(reading: EnergyReading, found: EnergyPerInference, plan: Plan) -> Iterator[tuple[str, str]]:
    """Joules that are less precise than the plan requires, with the cause."""
    if found.windows < WINDOWS_MIN:
        yield f"{found.windows} whole windows, at least {WINDOWS_MIN} are needed", _again(reading)
    half, value = found.shown_j.half_width, found.shown_j.value
    if half is None or per_inference.is_precise(found, plan):
        return
    kind = "gross" if found.net_j is None else "net"
    if half >= abs(value):
        known = (
            f"{kind} joules are lost in the idle power"
            if found.net_j
            else "gross joules cannot be distinguished from zero"
        )
    else:
        known = f"{kind} joules are known to ±{half / abs(value):.1%} after {found.windows} windows"
    cause, remedy = _cause(reading, found, half, plan)
    yield f"{known}, the plan requires ±{plan.energy_precision:.1%}; {cause}", remedy


def _cause(reading: EnergyReading, found: EnergyPerInference, half: float, plan: Plan) -> tuple[str, str]:
    """The cause of so wide an interval: the meter, idle power or the load, whichever contributes most."""
    left = [window.u_j / window.inferences for window in reading.windows]
    common = statistics.mean(window.u_common_j / window.inferences for window in reading.windows)
    by_meter = math.hypot(2 * statistics.mean(left) / math.sqrt(len(left)), 2 * common)
    longer = f"Longer windows help: --energy-window {2 * plan.energy_window_s:g}; so does a faster meter"
    if by_meter >= CAUSE_SHARE * half:
        return "the meter does not resolve it better", longer
    gross = [window.energy_j / window.inferences for window in reading.windows]
    per_window_s = statistics.mean(window.duration_s / window.inferences for window in reading.windows)
    idle_j = [window.mean_w * per_window_s for window in reading.idle]
    if found.net_j and len(idle_j) > 2 and statistics.stdev(idle_j) > statistics.stdev(gross):
        return (
            "the idle power moved from window to window",
            "Stop other programs, let the device settle, then deploy again",
        )
    mean, spread = abs(statistics.mean(gross)), statistics.stdev(gross)
    differed = f"{spread / mean:.1%}" if mean else f"{spread:.2g} J around 0 J"
    return (
        f"the device's own energy differed by {differed} from window to window",
        "Let it settle and cool, stop other programs; ratios within one job are more precise, window by window",
    )


def _again(reading: EnergyReading) -> str:
    lost = reading.reason or (reading.refused[0].reason if reading.refused else "")
    return f"{lost}; deploy again" if lost else "Deploy again"


def _of_windows(windows: Sequence[EnergyWindow]) -> Iterator[tuple[str, str]]:
    shortest_s = min(window.duration_s for window in windows)
    if shortest_s < WINDOW_MIN_S:
        yield f"a window of {shortest_s:.1f} s, less than {WINDOW_MIN_S:g} s", "Use --energy-window 10 or more"


def _of_idle(reading: EnergyReading, found: EnergyPerInference) -> Iterator[tuple[str, str]]:
    if per_inference.is_constant(reading):
        return
    if found.idle_w is None:
        yield "no idle window, so no net energy", "Check the meter's cable, then deploy again"
    elif found.idle_drift_w and found.idle_drift_w > DRIFT_SHARE * abs(found.power_w):
        yield (
            f"idle power moved by {found.idle_drift_w:.2g} W over the windows, "
            f"{found.idle_drift_w / abs(found.power_w):.0%} of {found.power_w:.3g} W",
            "Stop other programs, let the device settle, then deploy again",
        )


def _of_meter(reading: EnergyReading) -> Iterator[tuple[str, str]]:
    """The meter's behaviour: lost, garbled, late."""
    if reading.reason and reading.provenance == "measured":
        yield f"the meter was lost meanwhile: {reading.reason}", "Check its cable and power, then deploy again"
    said = reading.dropped + reading.duplicates + sum(window.values or 0 for window in reading.windows)
    if reading.dropped > GARBLED_SHARE * said:
        yield (
            f"{reading.dropped / said:.0%} of the meter's values were garbled and left out",
            "Try a shorter cable, another port, or the Bluetooth adapter closer to it",
        )
    if reading.late_s:
        yield (
            f"its values came {reading.late_s:.1f} s late and were shifted accordingly",
            "Use a faster link to the meter; verify with a load that you switch",
        )


def _of_flags(reading: EnergyReading) -> Iterator[tuple[str, str]]:
    flags = reading.all_flags
    board = [flag.replace("_", " ") for flag in _BOARD if flag in flags]
    if board:
        yield f"the board reported {', '.join(board)} meanwhile", "Use a 3 A supply, a short cable and a heat sink"
    for flag in sorted(flags & _REMEDY_OF_FLAG.keys()):
        yield _REMEDY_OF_FLAG[flag]
    if reading.refused:
        first = reading.refused[0]
        yield (
            f"{len(reading.refused)} more {'windows have' if len(reading.refused) > 1 else 'window has'} no energy; "
            f"the first: {first.reason}",
            "Check the meter's cable, then deploy again",
        )
