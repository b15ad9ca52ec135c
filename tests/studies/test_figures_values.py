"""The numbers and labels that figures take from a study's results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from edgebench.analysis import stats
from edgebench.schema.estimate import Estimate
from edgebench.schema.history import PruningStep, TrainingCost
from edgebench.studies.study.figures import _approaches, _cells, _devices, _ratios, _values, efficiency_index, green
from edgebench.studies.study.results import Results, VariantResults
from tests.support import figure_results
from tests.support.figure_results import results as results

pytest.importorskip("torch")


# ------------------------------------------------------------------ numbers


def test_efficiency_index_of_the_test_vector() -> None:
    assert efficiency_index.index([1, 0.5], [2, 1]) == [0, 0.5]
    assert efficiency_index.index([1, 0.5], None) == [0, 0.5]
    assert efficiency_index.index([4, 1, 2], [1, 4, 2]) == pytest.approx([0.375, 0.375, 0.5])


@pytest.mark.parametrize(
    ("accuracy", "co2_kg", "expected"),
    [
        (0.9759, 0.000061, 1.600),
        (0.9879, 0.000108, 0.915),
        (0.9754, 0.000093, 1.049),
        (0.6593, 0.000295, 0.2235),
        (0.7913, 0.001489, 0.0531),
        (0.8051, 0.001263, 0.0637),
    ],
)
def test_green_score_of_the_studys_own_columns(accuracy: float, co2_kg: float, expected: float) -> None:
    assert green.green_score(100 * accuracy, 1e6 * co2_kg) == pytest.approx(
        expected, abs=0.5e-3 if expected > 0.5 else 6e-5
    )


def test_the_pareto_front_has_what_nothing_else_beats() -> None:
    costs, values = [1, 2, 3, 2, 1], [50, 60, 55, 60, 50]
    assert green.on_front(costs, values) == [True, True, False, True, True]
    assert green.on_front([5.0], [0.1]) == [True]


def test_the_interval_over_seeds_is_students() -> None:
    assert stats.mean([7.0]) == Estimate(7.0)
    two = stats.mean([1.0, 3.0])
    assert (two.value, two.half_width) == (2.0, pytest.approx(12.706))  # t(1) * sqrt(2) / sqrt(2)
    five = stats.mean([1, 2, 3, 4, 5])
    assert five.half_width == pytest.approx(2.776 * (2.5 / 5) ** 0.5)


def test_co2_is_energy_times_intensity_and_never_a_sum_over_provenances(results: Results) -> None:
    run = results.variants[0].runs[0]
    # 100 J measured and 36 J modelled, at 500 g/kWh.
    assert _values.co2_g(run, "measured") == pytest.approx(100 / 3.6e6 * 500)
    assert _values.co2_g(run, "modelled") == pytest.approx(36 / 3.6e6 * 500)
    assert _values.co2_g(run, "estimated") is None


def trained_twice(results: Results, second: TrainingCost | None) -> Any:
    """A run whose network was trained once more, from 70 % on, at that cost."""
    run = results.variants[0].runs[0]
    (first,) = run.checkpoint.about.training
    epochs = tuple(msgspec.structs.replace(one, validation_accuracy=0.9) for one in first.history)
    again = msgspec.structs.replace(first, cost=second, history=epochs)
    about = msgspec.structs.replace(run.checkpoint.about, training=(first, again))
    return replace(run, checkpoint=replace(run.checkpoint, about=about))


def test_every_training_that_led_to_a_network_counts(results: Results) -> None:
    cost = results.variants[0].runs[0].checkpoint.about.training[0].cost
    twice = trained_twice(results, cost)
    assert _values.training_joules(twice, "measured") == 200
    unknown = trained_twice(results, None)
    assert _values.training_joules(unknown, "measured") is None, "half of a cost is no cost"


def test_energy_to_an_accuracy_ends_with_the_epoch_that_reaches_it(results: Results) -> None:
    run = results.variants[0].runs[0]  # 100 J for two epochs: 0.5, 0.7
    assert green.joules_to(run, 0.5, "measured") == 50
    assert green.joules_to(run, 0.6, "measured") == 100
    assert green.joules_to(run, 0.8, "measured") is None
    twice = trained_twice(results, run.checkpoint.about.training[0].cost)
    assert green.joules_to(twice, 0.8, "measured") == 150


def test_energies_are_compared_within_one_provenance(results: Results) -> None:
    assert _values.shared_provenance(results) == "measured"
    runs = results.variants[0].runs
    modelled = tuple(
        replace(run, checkpoint=figure_results.with_shares(run.checkpoint, (figure_results.MODELLED,))) for run in runs
    )
    mixed = replace(results, variants=(replace(results.variants[0], runs=modelled), *results.variants[1:]))
    assert _values.shared_provenance(mixed) == "modelled"


def test_a_line_begins_at_what_was_trained_as_often(results: Results) -> None:
    """After a fine-tuning the fair beginning is the control, not the network that was trained once."""
    dense, pruned = results.variants[:2]
    control = replace(dense, label="control", runs=(trained_twice(results, None),))
    about = pruned.runs[0].checkpoint.about
    tuned = msgspec.structs.replace(about, training=about.training * 2)
    pruned = replace(
        pruned, runs=(replace(pruned.runs[0], checkpoint=replace(pruned.runs[0].checkpoint, about=tuned)),)
    )
    found = replace(results, variants=(dense, control, pruned))
    (line,) = _ratios.lines(found, pruned)
    assert _ratios.lines(found, control) == [line]
    assert _ratios.lines(found, dense) == []


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("axes", "label", "approach"),
    [
        ({"model": "mlp-small", "method": "l1-hidden", "ratio": 0.5}, "S_50_L_PT", "layer-wise"),
        ({"model": "mlp-medium", "method": "l1-uniform", "ratio": 0.8}, "M_80_G_PT", "global"),
        ({"model": "mlp-small", "method": "set", "ratio": 0.5}, "S_50_G_SET", "global"),
        ({"model": "mlp-small"}, "S_dense", "dense"),
        ({"model": "vgg16", "method": "channels", "ratio": 0.3}, "vgg16_30_channels", "other"),
        ({"model": "mlp-small", "method": "set", "ratio": 0.8, "note": "static"}, "static", "global"),
    ],
)
def test_short_names_are_the_studys(axes: dict[str, Any], label: str, approach: str) -> None:
    variant = VariantResults("x", axes, ())
    assert (_approaches.short(variant), _approaches.approach(variant)) == (label, approach)


def test_what_a_method_was_asked_is_part_of_it(results: Results) -> None:
    run = results.variants[0].runs[0]
    size = run.checkpoint.about.size
    step = PruningStep("set", 0.5, 0, size, size, "", 0.0, form="baked", options={"layers": "hidden", "moved": {}})
    about = msgspec.structs.replace(run.checkpoint.about, pruning=(step,))
    variant = VariantResults(
        "x",
        {"model": "mlp-small", "method": "set", "ratio": 0.5},
        (replace(run, checkpoint=replace(run.checkpoint, about=about)),),
    )
    assert (_approaches.short(variant), _approaches.approach(variant)) == ("S_50_L_SET", "layer-wise")
    assert _approaches.method(variant) == "set, layers hidden"


def test_equal_labels_of_two_parts_are_told_apart(results: Results) -> None:
    first = results.variants[0]
    other = replace(first, axes={**first.axes, "part": "q"})
    labels = [label for label, _ in _values.labelled(replace(results, variants=(first, other)))]
    assert labels == ["p: mlp-small dense", "q: mlp-small dense"]


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (None, "-"),
        (Estimate(12.3456), "12.3"),
        (Estimate(12.3456, 12.2, 12.5), "12.35 ± 0.15"),
        (Estimate(0.00123, 0.00122, 0.00124), "0.001230 ± 0.000010"),
        (Estimate(1234.0, 1000.0, 1468.0), "1,234 ± 234"),
        (Estimate(5.0, 5.0, 5.0), "5.00 ± 0"),
        (Estimate(56.8, 38.4, 59.5), "57 (38 to 60)"),
    ],
)
def test_an_interval_decides_how_many_digits_are_shown(estimate: Estimate | None, text: str) -> None:
    assert _cells.with_spread(estimate) == text


def test_the_setting_with_most_variants_is_first_and_emulated_ones_are_last(results: Results) -> None:
    def on(variant: VariantResults, target: str, *, emulated: bool = False) -> VariantResults:
        record = figure_results.on_board("net", 50e3)
        moved = msgspec.structs.replace(record.target, name=target, emulated=emulated)
        runs = (
            replace(variant.runs[0], records=(*variant.runs[0].records, msgspec.structs.replace(record, target=moved))),
        )
        return replace(variant, runs=runs)

    variants = [on(one, "a-emulated", emulated=True) for one in results.variants]
    variants[0] = on(variants[0], "a-rare")
    found = _devices.settings(replace(results, variants=tuple(variants)))
    assert [str(one) for one in found] == [
        "onnx-fp32 on board", "onnx-fp32 on a-rare", "onnx-fp32 on a-emulated (emulated clock)"
    ]  # fmt: skip
