"""What a study says, put to the test on made-up numbers: every standing, every metric, one seed and several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgebench.analysis import stats
from edgebench.networks.evaluation import packed
from edgebench.networks.sparsity import LayerSparsity
from edgebench.schema.checkpoint import Checkpoint, Metadata
from edgebench.schema.history import EnergyShare, Metrics, Training, TrainingCost
from edgebench.schema.record import Outcome, Record
from edgebench.studies.study import claims
from edgebench.studies.study.file import METRICS, Claim, Side
from edgebench.studies.study.results import Results, VariantResults, VariantRun
from tests.support.records import make_record, make_rounds
from tests.support.studies import evaluation, metadata

DENSE, HALF = Side("dense"), Side("half")
RECORD = "net-onnx-fp32"


def run(accuracy: float = 0.8, *, seed: int = 0, **keys: Any) -> VariantRun:
    about = keys.pop("about", None) or metadata(accuracy=accuracy)
    return VariantRun(seed, Checkpoint(Path("net.safetensors"), "", about), **{"file_bytes": 50_000, **keys})


def variant(name: str, *runs: VariantRun, **axes: str) -> VariantResults:
    known = {"part": "p", "variant": name, "model": "mlp-small", "dataset": "mnist", **axes}
    return VariantResults(f"{known['model']} {known['dataset']} {name}", known, runs)


def judged(claim: Claim, *variants: VariantResults, **results: Any) -> claims.ClaimVerdict:
    (verdict,) = claims.judge([claim], Results("s", "S", "nobody", variants, **results))
    return verdict


def differing(**keys: Any) -> Claim:
    """About half against dense; "because" is its `why`."""
    return Claim(**{"says": "x", "part": "p", "of": HALF, "to": DENSE, "why": "because", **keys})


def seeds(*accuracies: float) -> list[VariantRun]:
    return [run(accuracy, seed=seed) for seed, accuracy in enumerate(accuracies)]


# ------------------------------------------------------------------ standings


@pytest.mark.parametrize(
    ("half", "bounds", "standing"),
    [
        # dense has 80 %, of 10,000 images; the interval of a difference is about +/- 1.1 points
        ((0.83,), {"at_least": 0.01}, "reproduced"),
        ((0.83,), {"at_least": 0.05}, "not reproduced"),
        ((0.83,), {"at_least": 0.03}, "unsupported"),
        ((0.83,), {"at_most": 0.05}, "reproduced"),
        ((0.83,), {"at_most": 0.01}, "not reproduced"),
        ((0.83,), {"at_most": 0.03}, "unsupported"),
        ((0.80,), {"at_least": -0.02, "at_most": 0.02}, "reproduced"),
        ((0.80,), {"at_least": -0.01, "at_most": 0.01}, "unsupported"),
        ((0.83,), {"at_least": -0.01, "at_most": 0.01}, "not reproduced"),
        # seed by seed: dense has 80, 81, 82
        ((0.83, 0.84, 0.85), {"at_least": 0.029}, "reproduced"),
        ((0.83, 0.84, 0.85), {"at_least": 0.031}, "not reproduced"),
        ((0.83, 0.84, 0.83), {"at_least": 0.02}, "unsupported"),
        ((0.83, 0.841), {"at_least": 0.02}, "reproduced"),  # two: +/- 0.6 points
        ((0.83, 0.84, 0.85), {"at_least": 0.03, "at_most": 0.03}, "reproduced"),
    ],
)
def test_an_interval_decides(half: Sequence[float], bounds: dict[str, float], standing: str) -> None:
    bounds = {name: bound + (1e-9 if name == "at_most" else -1e-9) for name, bound in bounds.items()}
    dense = variant("dense", *seeds(*(0.80, 0.81, 0.82)[: len(half)]))
    verdict = judged(differing(**bounds), dense, variant("half", *seeds(*half)))
    assert verdict.standing == standing, verdict.seen
    assert verdict.why == ("" if standing == "reproduced" else "because")


def test_a_small_run_cannot_contradict_what_a_whole_one_found() -> None:
    networks = variant("dense", run(0.80)), variant("half", run(0.83))
    missed = judged(differing(at_least=0.05), *networks, subset=True)
    assert missed.standing == "unsupported" and "missed with --subset" in missed.seen and missed.why == "because"
    assert judged(differing(at_least=0.01), *networks, subset=True).standing == "reproduced"
    # What does not depend on training is the same at every size.
    parameters = differing(metric="parameters", to=None, at_most=10.0)
    assert judged(parameters, *networks, subset=True).standing == "not reproduced"


def test_shares_are_told_in_percent_and_their_differences_in_points() -> None:
    networks = variant("dense", run(0.80)), variant("half", run(0.83))
    assert "+3.00 points" in judged(differing(at_least=0.01), *networks).seen
    assert "claimed: at least +1.00 points" in judged(differing(at_least=0.01), *networks).seen
    assert ": 83.00 %" in judged(differing(to=None, at_least=0.8), *networks).seen


def answered(accuracy: float, *, flipped: int = 0) -> VariantRun:
    """10,000 images, the first of them told; and as many more answers exchanged for wrong ones, and back."""
    right = np.arange(10_000) < round(10_000 * accuracy)
    edge = round(10_000 * accuracy)
    right[edge - flipped : edge], right[edge : edge + flipped] = False, True
    return run(accuracy, evaluation=msgspec.structs.replace(
        evaluation(0.1), confusion=((int(right.sum()), 0), (int((~right).sum()), 0)), right_base64=packed(right)
    ))  # fmt: skip


def test_networks_that_answered_the_same_images_are_compared_image_by_image() -> None:
    """Equal answers, image by image, are no difference; as many right ones of other images leave room for one."""
    claim = differing(at_least=-0.0005, at_most=0.0005)
    same = judged(claim, variant("dense", answered(0.8)), variant("half", answered(0.8)))
    assert same.standing == "reproduced" and "+0.00 points [-0.02, +0.02]" in same.seen
    assert "over 10,000 images of 1 seed, image by image" in same.seen
    others = judged(claim, variant("dense", answered(0.8)), variant("half", answered(0.8, flipped=500)))
    assert others.standing == "unsupported" and "+0.00 points [-0.62, +0.62]" in others.seen


def test_what_each_network_told_is_not_used_where_it_is_of_other_images() -> None:
    claim = differing(at_least=-0.0005, at_most=0.0005)
    elsewhere = answered(0.8)
    smaller = run(0.8, evaluation=msgspec.structs.replace(elsewhere.evaluation, confusion=((80, 20), (0, 0)),
                  right_base64=packed(np.arange(100) < 80)))  # fmt: skip
    for other in (run(0.8), smaller):
        verdict = judged(claim, variant("dense", answered(0.8)), variant("half", other))
        assert verdict.standing == "unsupported" and "image by image" not in verdict.seen


def test_the_words_have_the_numbers() -> None:
    one = judged(differing(at_least=0.01), variant("dense", run(0.80)), variant("half", run(0.83)))
    assert one.seen.startswith("accuracy of mlp-small mnist half against mlp-small mnist dense: +3.00 points [+1.9")
    assert one.seen.endswith("(over 10,000 images of 1 seed); claimed: at least +1.00 points")
    several = judged(
        differing(at_least=0.0, at_most=0.5), variant("dense", *seeds(0.8, 0.8)), variant("half", *seeds(0.81, 0.82))
    )
    assert (
        "+1.50 points [-4.85, +7.85] (over 2 seeds); claimed: at least +0.00 points, at most +50.00 points"
        in several.seen
    )


def test_seeds_are_paired_and_those_that_only_one_side_has_are_left_out() -> None:
    """Half is 1 point better on each seed; the seeds themselves are 20 points apart."""
    dense, half = seeds(0.60, 0.70, 0.80, 0.90), seeds(0.61, 0.71, 0.81)
    verdict = judged(differing(at_least=0.009), variant("dense", *dense[1:]), variant("half", *half))
    assert (verdict.standing, "over 2 seeds" in verdict.seen) == ("reproduced", True)
    none = judged(differing(at_least=0), variant("dense", dense[0]), variant("half", half[1]))
    assert (none.standing, none.seen.endswith("have no seed in common")) == ("unsupported", True)


def test_a_level_needs_no_second_side() -> None:
    claim = differing(to=None, at_least=0.79)
    assert judged(claim, variant("half", run(0.80))).standing == "reproduced"
    assert judged(claim, variant("half", run(0.795))).standing == "unsupported"
    assert judged(claim, variant("half", *seeds(0.70, 0.71, 0.70))).standing == "not reproduced"


# ------------------------------------------------------------------ metrics


def measured(metric: str, value: float) -> VariantRun:
    """A run in which nothing but this is another number than in the others."""
    about = metadata()
    if metric in ("parameters", "macs"):
        about = msgspec.structs.replace(about, size=msgspec.structs.replace(about.size, **{metric: int(value)}))
    elif metric in ("accuracy", "loss"):
        about = msgspec.structs.replace(about, metrics=msgspec.structs.replace(about.metrics, **{metric: value}))
    elif metric in ("train_accuracy", "validation_accuracy"):
        split = {metric.removesuffix("_accuracy"): Metrics(value, 0.5, 10_000)}
        about = msgspec.structs.replace(about, training=(Training({}, 0, "", **split),))
    elif metric in ("training_s", "training_j", "peak_memory_bytes"):
        about = msgspec.structs.replace(about, training=(Training({}, 0, "", cost=cost(metric, value)),))
    keys: dict[str, Any] = {"about": about}
    if metric == "file_bytes":
        keys["file_bytes"] = int(value)
    elif metric == "nonzero":
        keys["sparsity"] = (layer_row(int(value)),)
    elif metric == "ece":
        keys["evaluation"] = evaluation(value)
    return run(**keys)


def cost(metric: str, value: float) -> TrainingCost:
    return TrainingCost(
        seconds=value if metric == "training_s" else 1.0,
        images=100,
        peak_memory_bytes={"process high water": int(value)} if metric == "peak_memory_bytes" else {},
        energy=(EnergyShare("cpu", value, "measured", "RAPL"),) if metric == "training_j" else (),
    )


def layer_row(nonzero: int) -> LayerSparsity:
    return LayerSparsity("fc", 12_960, nonzero, live=12_960, live_nonzero=nonzero, macs=12_960, nonzero_macs=nonzero)


# metric -> what dense and half have.
NUMBERS: dict[str, tuple[float, float]] = {
    "parameters": (13_002, 6_000),
    "macs": (12_960, 6_480),
    "nonzero": (12_960, 6_480),
    "file_bytes": (60_000, 30_000),
    "accuracy": (0.8, 0.9),
    "loss": (0.5, 0.4),
    "train_accuracy": (0.8, 0.99),
    "validation_accuracy": (0.8, 0.9),
    "ece": (0.25, 0.125),
    "training_s": (10.0, 20.0),
    "training_j": (100.0, 200.0),
    "peak_memory_bytes": (2e8, 3e8),
}


def test_every_metric_is_tried() -> None:
    assert NUMBERS.keys() | {"latency_ratio"} == set(METRICS)


@pytest.mark.parametrize("metric", NUMBERS)
def test_a_metric_is_read_where_it_is_and_missed_where_it_is_not(metric: str) -> None:
    base, own = NUMBERS[metric]
    claim = differing(metric=metric, at_least=own - base - 1e-6, at_most=own - base + 1e-6)
    many = judged(
        claim,
        variant("dense", *(replaced(measured(metric, base), seed) for seed in range(3))),
        variant("half", *(replaced(measured(metric, own), seed) for seed in range(3))),
    )
    assert many.standing == "reproduced", many.seen
    one = judged(differing(metric=metric, at_least=0), variant("dense", measured(metric, base)), variant("half", run()))
    has_always = metric in ("parameters", "macs", "file_bytes", "accuracy", "loss")
    assert one.seen.endswith("was not measured") is not has_always


@pytest.mark.parametrize("metric", NUMBERS)
def test_one_seed_decides_what_is_exact_or_a_share_of_images_and_nothing_else(metric: str) -> None:
    base, own = NUMBERS[metric]
    low, high = sorted((0.0, 2 * (own - base)))
    one = judged(
        differing(metric=metric, at_least=low, at_most=high),
        variant("dense", measured(metric, base)),
        variant("half", measured(metric, own)),
    )
    decided = metric in ("parameters", "macs", "nonzero", "file_bytes") or metric.endswith("accuracy")
    assert one.standing == ("reproduced" if decided else "unsupported"), one.seen


def replaced(made: VariantRun, seed: int) -> VariantRun:
    return VariantRun(seed, made.checkpoint, made.file_bytes, made.evaluation, made.sparsity)


def test_modelled_energy_supports_no_claim() -> None:
    share = EnergyShare("cpu", 100.0, "modelled", "rated power")
    training = Training({}, 0, "", cost=TrainingCost(1.0, 100, energy=(share,)))
    about: Metadata = msgspec.structs.replace(metadata(), training=(training,))
    found = judged(differing(metric="training_j", to=None, at_least=0), variant("half", run(about=about)))
    assert (found.standing, found.seen) == ("unsupported", "training_j of mlp-small was not measured")


# ------------------------------------------------------------------ latency


def timed(*records: Record) -> VariantRun:
    return run(records=tuple(records))


def faster(dense: Sequence[Record], half: Sequence[Record], **results: Any) -> claims.ClaimVerdict:
    claim = differing(metric="latency_ratio", at_most=0.95)
    return judged(claim, variant("dense", timed(*dense)), variant("half", timed(*half)), **results)


def test_a_latency_is_a_ratio_of_the_same_kind_of_file_on_the_same_target() -> None:
    dense, half = make_record(p50_ns=50_000), make_record("half-onnx-fp32", p50_ns=45_000)
    assert faster([dense], [half]).standing == "reproduced"
    assert "0.9 [0.9, 0.9] (over rounds; different)" in faster([dense], [half]).seen
    for other in (make_record("half-onnx-int8"), make_record("half-onnx-fp32", target="phone")):
        missing = faster([dense], [other])
        assert (missing.standing, "no target measured the latency of both" in missing.seen) == ("unsupported", True)


def test_a_difference_within_the_band_of_two_identical_files_is_none() -> None:
    dense, half = make_record(p50_ns=50_000), make_record("half-onnx-fp32", p50_ns=45_000)
    assert faster([dense], [half], bands={"job-1": 1.02}).standing == "reproduced"
    within = faster([dense], [half], bands={"job-1": 1.17})
    assert within.standing == "unsupported"
    assert "0.9 [0.7692, 1.053] (over rounds; not resolved)" in within.seen


def test_a_latency_of_another_job_holds_what_jobs_differ_by() -> None:
    dense, half = make_record(p50_ns=50_000), make_record("half-onnx-fp32", p50_ns=45_000, job="job-2")
    apart = faster([dense], [half])
    assert apart.standing == "unsupported" and "0.9 [0.6, 1.35] (over rounds; not resolved)" in apart.seen
    again = [make_record(p50_ns=50_000 + 50 * number, job=f"job-{number}") for number in range(3, 9)]
    assert faster([dense, *again], [half]).standing == "reproduced"


def test_the_newest_job_that_has_both_counts() -> None:
    dense = [make_record(p50_ns=50_000, job=job, created=f"2026112{day}T100000Z") for day, job in enumerate("abc")]
    half = [
        make_record("half-onnx-fp32", p50_ns=ns, job=job, created=f"2026112{day}T100000Z")
        for day, (job, ns) in enumerate([("a", 20_000), ("b", 49_500)])
    ]
    assert "0.99 [" in faster(dense, half).seen
    # A record that ended badly is no latency.
    stopped = msgspec.structs.replace(half[1], outcome=Outcome("stopped", reason="Ctrl-C"))
    assert "0.4 [" in faster(dense, [half[0], stopped]).seen


def test_a_few_rounds_have_no_interval_and_decide_nothing() -> None:
    short = make_rounds([50_000.0] * 3)
    found = faster([make_record(rounds=short)], [make_record("half-onnx-fp32", rounds=make_rounds([40_000.0] * 3))])
    assert (found.standing, "[" in found.seen) == ("unsupported", False)


# ------------------------------------------------------------------ what cannot be judged


def test_which_network_is_meant_has_to_be_clear() -> None:
    two = [variant("half", run(0.8), model=model) for model in ("mlp-small", "ultralight")]
    dense = [variant("dense", run(0.8), model=model) for model in ("mlp-small", "ultralight")]
    unclear = judged(differing(at_least=0), *two, *dense)
    assert unclear.standing == "unsupported"
    assert "which of these networks it is about: mlp-small mnist half, ultralight mnist half" in unclear.seen
    clear = differing(
        at_least=-0.02, of=Side("half", "ultralight"), to=Side("dense", dataset="mnist", model="ultralight")
    )
    assert judged(clear, *two, *dense).standing == "reproduced"
    missing = judged(differing(at_least=0, of=Side("half", "resnet18")), *two, *dense)
    assert (missing.standing, missing.seen) == ("unsupported", "p, half, resnet18 was not run")


def test_claims_about_parts_that_were_not_run_are_left_out() -> None:
    results = Results("s", "S", "nobody", (variant("dense", run()),))
    elsewhere = differing(part="q", at_least=0)
    across = differing(of=DENSE, to=Side("dense", part="q"), at_least=0)
    untestable = Claim("y", untestable="there is no such number")
    (told,) = claims.judge([elsewhere, across, untestable], results)
    assert (told.says, told.standing, told.seen) == ("y", "unsupported", "there is no such number")


def test_the_interval_of_two_values_is_wide_and_valid() -> None:
    assert stats.mean([1.0, 3.0]).half_width == pytest.approx(12.706)
    assert stats.mean([1.0]).half_width is None
