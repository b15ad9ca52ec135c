"""The columns of tidy tables, in order: kind, meaning, and whether one record has them or only a comparison.

docs/results.md lists them for readers; a test keeps the page and this list equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "count", "flag"]


@dataclass(frozen=True)
class Column:
    """of_record: known from one record, without a comparison."""

    kind: Kind
    meaning: str
    of_record: bool = True


def _compared(kind: Kind, meaning: str) -> Column:
    return Column(kind, meaning, of_record=False)


COLUMNS: dict[str, Column] = {
    "record": Column("text", "the record's name"),
    "target": Column("text", "the target's name"),
    "emulated": Column("flag", "whether the target is emulated: its times are no device's"),
    "browser": Column("text", "the browser that it was measured in"),
    "artifact": Column("text", "the name of the file that was measured"),
    "label": _compared("text", "distinguishes records of one file and target"),
    "path": Column("text", "where the record is"),
    "job": Column("text", "the job; records of one job were measured by turns"),
    "created": Column("text", "when the job was made, UTC"),
    "commit": Column("text", "of the folder that it was deployed from, with a + if files were changed"),
    "sha256": Column("text", "of the measured file, and of the files of its weights if it has any"),
    "format": Column("text", "of the file"),
    "precision": Column("text", "of the file"),
    "computed_precision": Column("text", "what the arithmetic really was; missing where that is not known"),
    "computed_likelihood": Column("number", "of these precisions, by the device's answers"),
    "computed_unknown": Column("text", "why the answers do not show it"),
    "precision_asked": Column("text", "the options that decide it"),
    "precision_reported": Column("text", "layers in each precision by the runtime"),
    "fed": Column("text", "shapes of the inputs as they were fed"),
    "batch": Column("count", "samples in one inference"),
    "runtime": Column("text", "what ran it"),
    "runtime_version": Column("text", "its version"),
    "plan": Column("text", "the plan's name"),
    "threads": Column("count", "as requested"),
    "threads_started": Column("count", "as observed"),
    "verdict": Column("text", "valid, suspect or invalid"),
    "reasons": Column("text", "why it is not valid"),
    "p50_s": Column("number", "median latency of one inference"),
    "p50_low_s": Column("number", "lower end of its 95 % interval"),
    "p50_high_s": Column("number", "upper end"),
    "p90_s": Column("number", "nine of ten inferences are at least as fast"),
    "p90_low_s": Column("number", "lower end of its 95 % interval"),
    "p90_high_s": Column("number", "upper end"),
    "p99_s": Column("number", "99 of 100 inferences are at least as fast"),
    "p99_low_s": Column("number", "lower end of its 95 % interval"),
    "p99_high_s": Column("number", "upper end"),
    "throughput_hz": Column("number", "inferences a second, one after the other"),
    "is_baseline": _compared("flag", "whether the others are compared with it"),
    "ratio_to_baseline": _compared("number", "time over the baseline's"),
    "ratio_low": _compared("number", "lower end of its 95 % interval"),
    "ratio_high": _compared("number", "upper end"),
    "ratio_of_medians": _compared("number", "the ratio of the two p50, if the ratio is the median of paired ones"),
    "ratio_per_image": _compared("flag", "of times per image, because batches differ"),
    "ratio_paired": _compared("flag", "round by round in one job"),
    "ratio_p": _compared("number", "probability of such a ratio by chance"),
    "ratio_p_holm": _compared("number", "the same among all ratios of the table"),
    "margin": _compared("number", "fraction within which two times count as equivalent"),
    "outcome": _compared("text", "different, equivalent or not resolved"),
    "least_difference": _compared("number", "if not resolved: the smallest that could have been shown, as a fraction"),
    "times_as_long": _compared("number", "how much longer the plan would take to show the margin"),
    "jobs_a_side": _compared("count", "how many jobs it would take"),
    "no_ratio": _compared("text", "why there is no ratio"),
    "unlike": _compared("text", "conditions that differ from the baseline's"),
    "unfair": _compared("flag", "a ratio although conditions differ that must be equal"),
    "load_s": Column("number", "loading the file"),
    "first_inference_s": Column("number", "the first inference after that"),
    "accuracy": Column("number", "top-1 on the host, a fraction"),
    "accuracy_images": Column("count", "of so many images"),
    "device_accuracy": Column("number", "top-1 on the device, a fraction"),
    "device_accuracy_low": Column("number", "lower end of its 95 % interval"),
    "device_accuracy_high": Column("number", "upper end"),
    "device_accuracy_images": Column("count", "of so many images"),
    "accuracy_change": _compared("number", "of the device's against the baseline's, image by image"),
    "accuracy_change_low": _compared("number", "lower end of its 95 % interval"),
    "accuracy_change_high": _compared("number", "upper end"),
    "answers_flipped": _compared("number", "share of images whose answer differs"),
    "mcnemar_p": _compared("number", "probability of such a change by chance"),
    "metric": Column("text", "another metric of the device's answers"),
    "metric_value": Column("number", "its value"),
    "metric_low": Column("number", "lower end of its 95 % interval"),
    "metric_high": Column("number", "upper end"),
    "metric_change": _compared("number", "against the baseline's"),
    "metric_change_low": _compared("number", "lower end of its 95 % interval"),
    "metric_change_high": _compared("number", "upper end"),
    "top1_agreement": Column("number", "share of images with the parent's answer, on the host"),
    "memory_high_water_bytes": Column("count", "most memory at once, including what was swapped out"),
    "memory_runtime_bytes": Column("count", "of it: the runtime without a model"),
    "memory_weights_bytes": Column("count", "of it: what loading added"),
    "memory_working_set_bytes": Column("count", "of it: what inferring added at most"),
    "gpu_process_bytes": Column("count", "GPU memory of the process by the driver"),
    "gpu_allocated_high_water_bytes": Column("count", "most GPU memory by the runtime's allocator"),
    "size_bytes": Column("count", "of the file with its weights"),
    "macs": Column("count", "multiply-accumulates of one inference; one is two FLOPs"),
    "parameters": Column("count", "of the network"),
    "energy_net_j": Column("number", "of one inference by the first meter, without idle power"),
    "energy_net_low_j": Column("number", "lower end of its 95 % interval"),
    "energy_net_high_j": Column("number", "upper end"),
    "energy_gross_j": Column("number", "the same with idle power"),
    "energy_gross_low_j": Column("number", "lower end of its 95 % interval"),
    "energy_gross_high_j": Column("number", "upper end"),
    "energy_meter": Column("text", "which meter that is; one in the supply comes first"),
    "energy_scope": Column("text", "what it measures"),
    "energy_provenance": Column("text", "measured, estimated or modelled"),
    "energy": Column("text", "the joules of all meters"),
    "energy_ratios": _compared("text", "net joules over the baseline's, for each meter"),
    "no_energy": Column("text", "why other meters have no joules"),
    "intensity_g_per_kwh": _compared("number", "grams of CO2e per kWh of the electricity"),
    "co2e_g": _compared("text", "grams of CO2e of one inference, for each meter"),
}

VALUES: dict[str, Column] = {
    "record": COLUMNS["record"],
    "target": COLUMNS["target"],
    "artifact": COLUMNS["artifact"],
    "runtime": COLUMNS["runtime"],
    "phase": Column("text", "warmup (not in the statistics) or round"),
    "round": Column("count", "the round's number: rounds of one number in one job were measured one after the other"),
    "position": Column("count", "the value's place in its series, from 0"),
    "start_s": Column("number", "the start of its series on the device's monotonic clock"),
    "block": Column("count", "consecutive inferences that were timed together"),
    "value_s": Column("number", "the time of that block"),
    "latency_s": Column("number", "the time of one inference: value_s over block"),
}
