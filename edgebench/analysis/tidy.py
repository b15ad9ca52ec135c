"""Records and comparisons as plain values: one line per record, SI units in the names, None if nothing was measured.

The one place that CSV, Parquet, JSON, data frames and MLflow take their values from; `columns` says what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import comparability, computed_precision, device_scores, stats
from edgebench.analysis.columns import COLUMNS
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.energy import carbon, per_inference
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record


def lines(comparison: Comparison) -> list[dict[str, Any]]:
    """All with the same keys, those of `COLUMNS`, in the order of the rows."""
    return [_ordered(of_record(row, row.energy, row.no_energy) | _compared(row)) for row in comparison.rows]


def record_line(one: RecordStatistics) -> dict[str, Any]:
    """The columns that one record has without a comparison."""
    return _ordered(of_record(one, *per_inference.of_record(one.record)))


def _ordered(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in COLUMNS if name in line}


def of_record(one: RecordStatistics, energy: Sequence[EnergyPerInference], no_energy: Sequence[str]) -> dict[str, Any]:
    record, parity = one.record, one.record.artifact.parity
    line = {
        "record": record.id,
        "target": record.target.name,
        "emulated": record.target.emulated,
        "browser": record.facts_before.browser,
        "artifact": record.artifact.name,
        "path": None if record.path is None else str(record.path),
        "job": record.job,
        "created": record.created,
        "commit": record.commit,
        "sha256": record.artifact.sha256,
        "format": record.artifact.format,
        "precision": record.artifact.precision,
        **_computed(record),
        "fed": comparability.fed(record),
        "batch": record.batch,
        "runtime": record.runtime.name,
        "runtime_version": record.runtime.facts.get("version"),
        "plan": record.plan.preset,
        "threads": record.target.threads,
        "threads_started": record.runtime.threads,
        "verdict": one.verdict.level,
        "reasons": " | ".join(reason.seen for reason in one.verdict.reasons),
    }
    for name, estimate in (("p50", one.p50_ns), ("p90", one.p90_ns), ("p99", one.p99_ns)):
        line |= _interval(name, "s", estimate, 1e9)
    return line | {
        "throughput_hz": one.throughput_hz,
        "load_s": record.load_ns and record.load_ns / 1e9,
        "first_inference_s": record.first_inference_ns and record.first_inference_ns / 1e9,
        "accuracy": parity and parity.accuracy,
        "accuracy_images": parity.images if parity and parity.accuracy is not None else None,
        **_on_device(record),
        "top1_agreement": parity and parity.top1_agreement,
        **_memory(record),
        "size_bytes": record.artifact.size_bytes,
        "macs": record.artifact.macs,
        "parameters": record.artifact.parameters,
        **_first_meter(energy[0] if energy else None),
        "energy": " | ".join(map(_joules, energy)),
        "no_energy": " | ".join(no_energy),
    }


def _compared(row: ComparisonRow) -> dict[str, Any]:
    return {
        "label": row.label,
        **_ratio(row),
        **_changes(row),
        "energy_ratios": " | ".join(
            ratio if isinstance(ratio, str) else f"{ratio.value:.6g}" for ratio in row.energy_ratios
        ),
        "intensity_g_per_kwh": row.intensity_g_per_kwh,
        "co2e_g": " | ".join(_grams(row)),
    }


def _computed(record: Record) -> dict[str, Any]:
    """computed_precision: None where it is not known, and computed_unknown says why."""
    found = computed_precision.of(record)
    return {
        "computed_precision": " or ".join(found.settled) or None,
        "computed_likelihood": found.likelihood,
        "computed_unknown": found.unknown,
        "precision_asked": " | ".join(f"{name} {value}" for name, value in found.asked.items()),
        "precision_reported": " | ".join(f"{name} {layers}" for name, layers in found.reported.items()),
    }


def _ratio(row: ComparisonRow) -> dict[str, Any]:
    """least_difference: what could have been shown; times_as_long, jobs_a_side: what the margin would take."""
    ratio, found = row.ratio, row.resolution
    return {
        "is_baseline": row.is_baseline,
        "ratio_to_baseline": ratio and ratio.value,
        "ratio_low": ratio and ratio.low,
        "ratio_high": ratio and ratio.high,
        "ratio_of_medians": ratio and ratio.of_medians,
        "ratio_per_image": ratio and ratio.per_image,
        "ratio_paired": ratio and ratio.paired,
        "ratio_p": None if ratio is None or row.is_baseline else ratio.p,
        "ratio_p_holm": None if ratio is None or row.is_baseline else ratio.holm,
        "margin": ratio and ratio.margin,
        "outcome": row.outcome,
        "least_difference": found and found.least,
        "times_as_long": found and found.longer,
        "jobs_a_side": found and found.jobs,
        "no_ratio": row.no_ratio,
        "unlike": " | ".join(row.differences),
        "unfair": row.is_unfair,
    }


def _on_device(record: Record) -> dict[str, Any]:
    found = stats.accuracy(record.answers) if record.answers else None
    score = device_scores.first(record)
    value = score and device_scores.estimate(score)
    return {
        "device_accuracy": found and found.value,
        "device_accuracy_low": found and found.low,
        "device_accuracy_high": found and found.high,
        "device_accuracy_images": record.answers and record.answers.images,
        "metric": score and score.metric,
        "metric_value": value and value.value,
        "metric_low": value and value.low,
        "metric_high": value and value.high,
    }


def _changes(row: ComparisonRow) -> dict[str, Any]:
    """Against the baseline's, image by image."""
    change, metric = row.accuracy_change, row.score_change
    return {
        "accuracy_change": change and change.points.value,
        "accuracy_change_low": change and change.points.low,
        "accuracy_change_high": change and change.points.high,
        "answers_flipped": change and change.flipped,
        "mcnemar_p": change and change.p,
        "metric_change": metric and metric.value,
        "metric_change_low": metric and metric.low,
        "metric_change_high": metric and metric.high,
    }


def _first_meter(one: EnergyPerInference | None) -> dict[str, Any]:
    return {
        **_interval("energy_net", "j", one.net_j if one else None),
        **_interval("energy_gross", "j", one.gross_j if one else None),
        "energy_meter": one and one.meter,
        "energy_scope": one and one.scope,
        "energy_provenance": one and one.provenance,
    }


def _joules(one: EnergyPerInference) -> str:
    net = "none" if one.net_j is None else f"{one.net_j.value:.6g}"
    source = f"{one.meter}/{one.scope} ({one.provenance})"
    return f"{source}: net {net} J, gross {one.gross_j.value:.6g} J"


def _grams(row: ComparisonRow) -> Iterator[str]:
    """Emissions of the gross joules of one inference, which are drawn from the grid."""
    if row.intensity_g_per_kwh is None:
        return
    for one in row.energy:
        emitted = carbon.grams(one.gross_j.value, row.intensity_g_per_kwh)
        yield f"{one.meter}/{one.scope} ({one.provenance}): {emitted:.6g}"


def _interval(name: str, unit: str, found: Estimate | None, divisor: float = 1.0) -> dict[str, float | None]:
    ends = (found.value, found.low, found.high) if found else (None, None, None)
    columns = (f"{name}_{unit}", f"{name}_low_{unit}", f"{name}_high_{unit}")
    return {column: None if end is None else end / divisor for column, end in zip(columns, ends, strict=True)}


def _memory(record: Record) -> dict[str, int | None]:
    parts = record.memory.parts if record.memory else None
    running = record.memory.running if record.memory else {}
    return {
        "memory_high_water_bytes": record.memory.high_water_bytes if record.memory else None,
        "memory_runtime_bytes": None if parts is None else parts.runtime,
        "memory_weights_bytes": None if parts is None else parts.weights,
        "memory_working_set_bytes": None if parts is None else parts.working_set,
        "gpu_process_bytes": running.get("gpu_process_bytes"),
        "gpu_allocated_high_water_bytes": running.get("gpu_allocated_high_water_bytes"),
    }
