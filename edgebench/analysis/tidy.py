"""A comparison as plain values: one line per record, SI units in the names, None if nothing was measured.

The one place that CSV, Parquet, JSON and LaTeX take their values from; docs/compare.md lists the columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebench.analysis import device_scores
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.energy import carbon
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record


def lines(comparison: Comparison) -> list[dict[str, Any]]:
    """All with the same keys, in the order of the rows."""
    return [_line(row) for row in comparison.rows]


def _line(row: ComparisonRow) -> dict[str, Any]:
    record, parity = row.record, row.record.artifact.parity
    line = {
        "record": record.id,
        "target": record.target.name,
        "emulated": record.target.emulated,
        "browser": record.facts_before.browser,
        "artifact": record.artifact.name,
        "label": row.label,
        "path": None if record.path is None else str(record.path),
        "job": record.job,
        "created": record.created,
        "commit": record.commit,
        "sha256": record.artifact.sha256,
        "format": record.artifact.format,
        "precision": record.artifact.precision,
        **_computed(row),
        "fed": row.fed,
        "batch": record.batch,
        "runtime": record.runtime.name,
        "runtime_version": record.runtime.facts.get("version"),
        "plan": record.plan.preset,
        "threads": record.target.threads,
        "threads_started": record.runtime.threads,
        "verdict": row.verdict.level,
        "reasons": " | ".join(reason.seen for reason in row.verdict.reasons),
    }
    for name, estimate in (("p50", row.p50_ns), ("p90", row.p90_ns), ("p99", row.p99_ns)):
        line |= _seconds(name, estimate)
    return line | {
        "throughput_hz": row.throughput_hz,
        **_ratio(row),
        "load_s": record.load_ns and record.load_ns / 1e9,
        "first_inference_s": record.first_inference_ns and record.first_inference_ns / 1e9,
        "accuracy": parity and parity.accuracy,
        "accuracy_images": parity.images if parity and parity.accuracy is not None else None,
        **_on_device(row),
        "top1_agreement": parity and parity.top1_agreement,
        "memory_high_water_bytes": row.high_water_bytes,
        **_memory(record),
        "size_bytes": record.artifact.size_bytes,
        "macs": record.artifact.macs,
        "parameters": record.artifact.parameters,
        "energy": " | ".join(map(_joules, row.energy)),
        "energy_ratios": " | ".join(
            ratio if isinstance(ratio, str) else f"{ratio.value:.6g}" for ratio in row.energy_ratios
        ),
        "no_energy": " | ".join(row.no_energy),
        "intensity_g_per_kwh": row.intensity_g_per_kwh,
        "co2e_g": " | ".join(_grams(row)),
    }


def _computed(row: ComparisonRow) -> dict[str, Any]:
    """computed_precision: None where it is not known, and computed_unknown says why."""
    found = row.computed
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


def _on_device(row: ComparisonRow) -> dict[str, Any]:
    found, change = row.device_accuracy, row.accuracy_change
    return {
        "device_accuracy": found and found.value,
        "device_accuracy_low": found and found.low,
        "device_accuracy_high": found and found.high,
        "device_accuracy_images": row.record.answers and row.record.answers.images,
        "accuracy_change": change and change.points.value,
        "accuracy_change_low": change and change.points.low,
        "accuracy_change_high": change and change.points.high,
        "answers_flipped": change and change.flipped,
        "mcnemar_p": change and change.p,
        **_metric(row),
    }


def _metric(row: ComparisonRow) -> dict[str, Any]:
    """Of the device's answers, if it is not top-1."""
    score = device_scores.first(row.record)
    value, change = score and device_scores.estimate(score), row.score_change
    return {
        "metric": score and score.metric,
        "metric_value": value and value.value,
        "metric_low": value and value.low,
        "metric_high": value and value.high,
        "metric_change": change and change.value,
        "metric_change_low": change and change.low,
        "metric_change_high": change and change.high,
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


def _seconds(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    ends = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    columns = (f"{name}_s", f"{name}_low_s", f"{name}_high_s")
    return {column: None if end is None else end / 1e9 for column, end in zip(columns, ends, strict=True)}


def _memory(record: Record) -> dict[str, int | None]:
    parts = record.memory.parts if record.memory else None
    running = record.memory.running if record.memory else {}
    return {
        "memory_runtime_bytes": None if parts is None else parts.runtime,
        "memory_weights_bytes": None if parts is None else parts.weights,
        "memory_working_set_bytes": None if parts is None else parts.working_set,
        "gpu_process_bytes": running.get("gpu_process_bytes"),
        "gpu_allocated_high_water_bytes": running.get("gpu_allocated_high_water_bytes"),
    }
