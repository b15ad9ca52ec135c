"""Remarks and notes that all reports share."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgebench.analysis import comparability, device_scores, formatting, latency_patterns, ratio_text, stats
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.computed_precision import ComputedPrecision
from edgebench.analysis.same_outputs import OutputsMatch
from edgebench.energy import carbon
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.record import Record


@dataclass(frozen=True)
class Remark:
    """A remark about rows: why they are not valid, or how they differ from their baseline."""

    level: Literal["suspect", "invalid", "note"]
    text: str
    rows: str
    """`(1)(3)-(8)`: the rows it is about, counted from 1; `all` for all rows."""


def remarks(rows: Sequence[ComparisonRow]) -> list[Remark]:
    """All remarks about rows, each once, the worst first."""
    said: dict[tuple[Literal["suspect", "invalid", "note"], str], list[int]] = {}
    for number, row in enumerate(rows, start=1):
        for reason in row.verdict.reasons:
            said.setdefault((reason.level, f"{reason.seen}. {reason.remedy}"), []).append(number)
        for note in _notes(row):
            said.setdefault(("note", note), []).append(number)
    found = [Remark(level, text, _numbered(numbers, len(rows))) for (level, text), numbers in said.items()]
    return sorted(found, key=lambda remark: ["invalid", "suspect", "note"].index(remark.level))


def brief_remarks(rows: Sequence[ComparisonRow]) -> list[Remark]:
    """The same with one remark for each cause of suspicion, and an instance of it."""
    causes: dict[str, dict[int, str]] = {}
    for number, row in enumerate(rows, start=1):
        for reason in row.verdict.reasons:
            if reason.level == "suspect":
                causes.setdefault(reason.cause, {}).setdefault(number, reason.seen)
    suspect = [
        Remark("suspect", f"{cause}: {next(iter(seen.values()))}", _numbered(list(seen), len(rows)))
        for cause, seen in causes.items()
    ]
    others = [remark for remark in remarks(rows) if remark.level != "suspect"]
    first = [remark for remark in others if remark.level == "invalid"]
    return [*first, *suspect, *others[len(first) :]]


def _notes(row: ComparisonRow) -> Iterator[str]:
    for difference in row.differences:
        yield f"differs from the baseline: {difference}"
    yield from _computed(row)
    yield from row.no_quantiles
    if row.no_ratio and row.verdict.level != "invalid":
        yield f"no ratio: {row.no_ratio}"
    yield from ratio_text.of_row(row)


def _computed(row: ComparisonRow) -> Iterator[str]:
    """If a file was computed in another precision than it is called."""
    found, called = row.computed, row.record.artifact.precision
    if found.names and called not in found.settled:
        yield (
            f"called {called}, but computed in {found}: so its answers show (likelihood {found.likelihood:.1%}"
            f"{computed_report(found, '; ')})"
        )


def computed_report(found: ComputedPrecision, before: str) -> str:
    """`; the runtime reports bf16 30, fp32 12 layers`; empty if it does not."""
    layers = ", ".join(f"{name} {count}" for name, count in found.reported.items())
    return f"{before}the runtime reports {layers} layers" if layers else ""


def computed(row: ComparisonRow) -> str:
    """`bf16`, `fp16 or bf16`; empty if not known."""
    return " or ".join(row.computed.settled)


def _numbered(numbers: Sequence[int], count: int) -> str:
    if 1 < count == len(numbers):
        return "all"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return "".join(map(_run, runs))


def _run(numbers: Sequence[int]) -> str:
    if len(numbers) > 2:
        return f"({numbers[0]})-({numbers[-1]})"
    return "".join(f"({number})" for number in numbers)


def mark(record: Record) -> str:
    """Beside a target's name: the kind of its times, unless they are a device's own in its native runtime."""
    marks = {
        "emulated": record.target.emulated,
        f"browser, {record.in_browser_by}": record.in_browser,
        "benchmark_model, means": record.means_only,
    }
    said = ", ".join(name for name, holds in marks.items() if holds)
    return f" ({said})" if said else ""


def notes(comparison: Comparison) -> Iterator[str]:
    """Lines that belong under the table."""
    yield from _kinds_of_times(comparison)
    yield from ratio_text.of_comparison(comparison)
    if any(map(memory_parts, comparison.rows)):
        yield "Memory: its high-water mark, and the runtime + what loading added + what inferring added, in MB."
    yield from _of_records(comparison)
    yield from _energy(comparison)
    yield from dict.fromkeys(map(outputs, comparison.outputs))


def brief_notes(comparison: Comparison) -> Iterator[str]:
    """Without explanations and what the table says too, and with one line for all meters that could not be read."""
    yield from _kinds_of_times(comparison)
    yield from ratio_text.of_history(comparison)
    yield from _of_records(comparison, brief=True)
    yield from _carbon(comparison.rows)
    reasons = list(dict.fromkeys(why for row in comparison.rows for why in row.no_energy))
    meters = {why.partition(":")[0] for why in reasons}
    if meters and not any(row.energy for row in comparison.rows):
        several = f"none of {len(meters)} kinds of meter can be read here (-v says why)"
        yield f"No energy: {several if len(meters) > 1 else reasons[0]}."


def _of_records(comparison: Comparison, *, brief: bool = False) -> Iterator[str]:
    for row in comparison.rows:
        answered = "" if brief else accuracy(row)
        scored = "" if brief and row.record.answers is not None else scores(row)
        for said in filter(None, (*of_plan(row.record), gpu_memory(row.record), answered, scored)):
            yield f"{row.name} on {row.record.target.name}: {said}."


def _kinds_of_times(comparison: Comparison) -> Iterator[str]:
    """Times that are not a device's own in its native runtime."""
    targets = {row.record.target.name: row.record.target for row in comparison.rows}
    for name, target in targets.items():
        if target.emulated:
            yield (
                f"{name} is emulated: its times count an emulator's instructions, are not a device's times, and are "
                "compared only with its own."
            )
    browsers = [row.record for row in comparison.rows if row.record.in_browser]
    for name, by in dict.fromkeys((record.target.name, record.in_browser_by) for record in browsers):
        yield (
            f"{name} ran in a browser ({by}): its kernels differ from the native runtimes'; a ratio between the two "
            "compares ways to run a file, not devices or precisions."
        )
    for name in dict.fromkeys(row.record.target.name for row in comparison.rows if row.record.means_only):
        yield (
            f"{name} was timed by benchmark_model, supplied by the user: p50 is the median of its rounds' means, "
            "there are no percentiles, and its answers were not checked."
        )


def shows_shapes(rows: Sequence[ComparisonRow]) -> bool:
    """Whether names need the shapes of the fed inputs: they differ, are not of one image, or no bundle says what the
    file takes.
    """
    known = [row for row in rows if row.fed]
    return len({str(comparability.sizes(row.record)) for row in known}) > 1 or any(
        row.record.batch not in (None, 1) or not row.record.artifact.inputs for row in known
    )


def of_plan(record: Record) -> Iterator[str]:
    """Findings of a plan that the columns do not show."""
    plan = record.plan
    if plan.window_s_min and record.rounds:
        found = stats.windows(record.rounds)
        yield (
            f"{found.count} windows of {found.shortest_s:.1f} s and {found.least_inferences} inferences or more, "
            f"median {formatting.rate(found.rate_hz)}"
        )
    over_time = latency_patterns.sustained(record)
    if over_time is not None:
        minutes = ", ".join(formatting.time(p50_ns) for p50_ns in over_time.p50_ns)
        yield (
            f"{_throttling(over_time)}; the last minute's p50 is {over_time.slowdown:.2f}x of the first minute's "
            f"({minutes})"
        )
    missed, whole = latency_patterns.missed(record.rounds)
    if plan.duty_hz and whole:
        yield f"{plan.duty_hz:g} inferences a second, {missed} of {whole} not finished when the next was due"


def _throttling(found: latency_patterns.Sustained) -> str:
    if found.throttled_after_s is not None:
        return f"throttled after {found.throttled_after_s:.0f} s"
    if found.slowed_after_s is not None:
        return f"slower by a tenth or more from {found.slowed_after_s:.0f} s on"
    return (
        "never throttled"
        if found.reports_throttling
        else "never slower by a tenth; this device does not report throttling"
    )


def _energy(comparison: Comparison) -> Iterator[str]:
    """How accurate the joules are, and why some energies or ratios are missing."""
    rows = comparison.rows
    yield from dict.fromkeys(_exactness(row, one) for row in rows for one in row.energy)
    yield from _carbon(rows)
    ratios = [ratio for row in rows for ratio in row.energy_ratios if isinstance(ratio, str)]
    for why in dict.fromkeys(ratios):
        yield f"No ratio of energies: {why}."
    missing = list(dict.fromkeys(why for row in rows for why in row.no_energy))
    if missing:
        yield f"No energy: {'; '.join(missing)}."


def _carbon(rows: Sequence[ComparisonRow]) -> Iterator[str]:
    """Emissions of the gross joules, which are drawn from the grid."""
    for row in rows:
        if row.intensity_g_per_kwh is None:
            continue
        for one in row.energy:
            emitted = formatting.grams(carbon.grams(one.gross_j.value, row.intensity_g_per_kwh))
            yield (
                f"{row.name} on {row.record.target.name}: {emitted} of CO2e per inference, gross joules "
                f"of {one.meter} {one.scope} ({one.provenance}) at {row.intensity_g_per_kwh:g} g/kWh "
                f"({row.intensity_source}); the device's manufacture is not included."
            )


def _exactness(row: ComparisonRow, one: EnergyPerInference) -> str:
    """Uncertainty that the interval between windows does not show."""
    reading = next(read for read in row.record.energy if (read.meter, read.scope) == (one.meter, one.scope))
    source = f"{one.meter} {one.scope}"
    if one.provenance != "measured":
        return f"Energy of {source} is {one.provenance}: {reading.reason}."
    if one.u_systematic_j is None or one.net_j is None:
        exact = "its accuracy is not stated, so its uncertainty is unknown"
    else:
        source_of = reading.instrument.accuracy_source if reading.instrument else ""
        exact = f"the meter itself is within ±{2 * one.u_systematic_j / abs(one.net_j.value):.1%} ({source_of})"
    aligned = reading.alignment
    clock = f"; its clock is known to ±{2e3 * aligned.u_s:.1f} ms" if aligned and aligned.method == "rtt" else ""
    return f"Energy of {source}: {exact}{clock}{_meanwhile(reading)}."


def _meanwhile(reading: EnergyReading) -> str:
    """The device in the windows: `; 45 °C before and 52 °C after; lowest clock 1.50 GHz, median 1.80 GHz`."""
    warm, clocks = reading.temperatures_c, reading.clocks_hz
    parts = []
    if warm:
        most = f", at most {max(warm):.0f} °C" if max(warm) > max(warm[0], warm[-1]) else ""
        parts.append(f"{warm[0]:.0f} °C before and {warm[-1]:.0f} °C after{most}")
    if clocks:
        parts.append(f"lowest clock {min(clocks) / 1e9:.2f} GHz, median {statistics.median(clocks) / 1e9:.2f} GHz")
    return "".join(f"; {part}" for part in parts)


def outputs(match: OutputsMatch) -> str:
    if match.identical:
        return f"{match.artifact}: outputs on {match.target} are bit-identical to {match.other}."
    return (
        f"{match.artifact}: outputs on {match.target} differ from {match.other} by at most {match.max_abs_diff:.3g}, "
        f"top-1 agreement {match.top1_agreement:.1%}."
    )


def memory(row: ComparisonRow) -> str:
    """The high-water mark of the worker while it runs, runtime included."""
    return formatting.size(row.high_water_bytes)


def memory_parts(row: ComparisonRow) -> str:
    """`44+3.2+1.0`, in MB: the bare runtime, what loading added, what inferring added; empty if unknown."""
    parts = row.record.memory.parts if row.record.memory else None
    if parts is None:
        return ""
    return f"{parts.runtime / 1e6:.0f}+{parts.weights / 1e6:.1f}+{parts.working_set / 1e6:.1f}"


def gpu_memory(record: Record) -> str:
    """Memory according to the GPU's driver and the runtime's allocator; empty without a GPU."""
    running = record.memory.running if record.memory else {}
    names = {"gpu_process_bytes": "by its driver", "gpu_allocated_high_water_bytes": "at most by the allocator"}
    said = [f"{formatting.size(running[key])} {name}" for key, name in names.items() if key in running]
    return f"GPU memory {', '.join(said)}" if said else ""


def scores(row: ComparisonRow) -> str:
    return device_scores.sentence(row.record, row.score_change)


def accuracy(row: ComparisonRow) -> str:
    """On the device, on the host, and against the baseline; empty if it was not measured on the device."""
    found, answers, parity = row.device_accuracy, row.record.answers, row.record.artifact.parity
    if found is None or answers is None or found.low is None or found.high is None:
        return ""
    said = (
        f"accuracy on the device {found.value:.2%} on {answers.images} test images of {answers.dataset} "
        f"({found.low:.2%} to {found.high:.2%})"
    )
    if parity is not None and parity.accuracy is not None:
        said += f", on the host {parity.accuracy:.2%}"
    change = row.accuracy_change
    if change is not None:
        low, high = change.points.ends
        said += (
            f"; {100 * change.points.value:+.2f} points against the baseline ({100 * low:+.2f} to "
            f"{100 * high:+.2f}, image by image); {change.flipped} of {change.images} answers flipped "
            f"({change.flipped / change.images:.2%}), {change.won} to right and {change.lost} to wrong (McNemar "
            f"p = {change.p:.2g})"
        )
    return said
