"""A small study's results, made with real networks, for the tests of its figures and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgebench.evaluate import evaluate
from edgebench.networks import data, sparsity, training
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.schema.history import EnergyShare, Epoch, TrainingCost
from edgebench.schema.record import Record
from edgebench.studies.study.results import Results, VariantResults, VariantRun
from edgebench.train import train
from tests.support.records import make_artifact, make_reading, make_record

SEEDS = (0, 1)
MODELS = {"mlp-small": 70e3, "ultralight": 90e3}  # p50 in ns of the made-up records
INTENSITY = 500.0
MODELLED = EnergyShare("ram", 36.0, "modelled", "watts per memory module")


def measured(joules: float) -> EnergyShare:
    return EnergyShare("cpu", joules, "measured", "counter of the package")


def with_cost(made: Checkpoint, joules: float, history: Sequence[float] = (0.5, 0.7)) -> Checkpoint:
    """The same network as if its one training had cost so much, with validation accuracies of these epochs."""
    cost = TrainingCost(
        seconds=2.0,
        images=640,
        peak_memory_bytes={"process high water": 300 * 2**20},
        energy=(measured(joules), MODELLED),
        intensity_g_per_kwh=INTENSITY,
        intensity_source="a made-up grid",
    )
    epochs = tuple(Epoch(1.0 / n, 1.1 / n, right, 1e-3) for n, right in enumerate(history, start=1))
    (training,) = made.about.training
    training = msgspec.structs.replace(training, cost=cost, history=epochs)
    return replace(made, about=msgspec.structs.replace(made.about, training=(training,)))


def with_shares(made: Checkpoint, shares: tuple[EnergyShare, ...]) -> Checkpoint:
    (training,) = made.about.training
    assert training.cost is not None
    training = msgspec.structs.replace(training, cost=msgspec.structs.replace(training.cost, energy=shares))
    return replace(made, about=msgspec.structs.replace(made.about, training=(training,)))


def zeroed(made: Checkpoint, path: Path) -> Checkpoint:
    """The same network with half of the last layer's inputs cut off."""
    network = rebuild(made)
    *_, last = (one for one in network.parameters() if one.ndim == 2)
    last.data[:, ::2] = 0
    images = data.load(made.about.dataset)
    metrics = training.evaluate(network, images.test, images.preprocessing)
    return checkpoint.save(network, msgspec.structs.replace(made.about, metrics=metrics), path)


def on_board(name: str, p50_ns: float) -> Record:
    return make_record(make_artifact(f"{name}-onnx-fp32", accuracy=0.7), p50_ns=p50_ns, energy=(make_reading(),))


def run(made: Checkpoint, seed: int, *, pictures: bool, records: Sequence[Record] = ()) -> VariantRun:
    return VariantRun(
        seed=seed,
        checkpoint=made,
        file_bytes=made.path.stat().st_size,
        evaluation=evaluate(made.path, images=200, pictures=pictures),
        sparsity=sparsity.table(rebuild(made), made.about.input_shape).rows,
        packed_bytes={"bitmask": made.path.stat().st_size // 2, "gzip": made.path.stat().st_size - 1000},
        records=tuple(records),
    )


def train_all(folder: Path) -> dict[tuple[str, int], Checkpoint]:
    """One epoch on 640 images: what they have learned does not matter, that they differ does."""
    full = data.load("fashion-mnist-mini")
    small = replace(full, train=data.balanced(full.train, 640), test=data.balanced(full.test, 500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return {
            (model, seed): train(model, epochs=1, seed=seed, out=folder / f"{model}-{seed}.safetensors")
            for model in MODELS
            for seed in SEEDS
        }


def small_study(folder: Path) -> Results:
    """Four variants with two seeds each: both models dense, and with zeros and 20 % faster by decree.

    Records of the first seed only.
    """
    networks = train_all(folder)
    variants = []
    for model, p50_ns in MODELS.items():
        dense, pruned = [], []
        for seed in SEEDS:
            made = networks[model, seed]
            cut = zeroed(made, folder / f"{model}-{seed}-cut.safetensors")
            timed, faster = ([on_board(model, p50)] if seed == 0 else [] for p50 in (p50_ns, 0.8 * p50_ns))
            dense.append(run(with_cost(made, 100.0 + seed), seed, pictures=seed == 0, records=timed))
            pruned.append(run(with_cost(cut, 200.0 + seed, (0.4, 0.6)), seed, pictures=False, records=faster))
        axes: dict[str, str | int | float] = {"part": "p", "model": model, "dataset": "fashion-mnist-mini"}
        method = {"variant": "hidden-50", "method": "l1-hidden", "ratio": 0.5}
        variants.append(VariantResults(f"{model} dense", {**axes, "variant": "dense"}, tuple(dense)))
        variants.append(VariantResults(f"{model} l1-hidden 50 %", {**axes, **method}, tuple(pruned)))
    return Results("small", "A small study", "nobody, nowhere", tuple(variants))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return small_study(tmp_path_factory.mktemp("study"))


def without_anything(results: Results) -> Results:
    """The same networks, without other facts."""
    variants = [
        replace(variant, axes={"part": "p"}, runs=tuple(_bare(run) for run in variant.runs))
        for variant in results.variants[:1]
    ]
    return replace(results, variants=tuple(variants))


def _bare(run: VariantRun) -> VariantRun:
    about = run.checkpoint.about
    training = tuple(
        msgspec.structs.replace(one, history=(), cost=TrainingCost(1.0, 640, no_energy="there is no counter"))
        for one in about.training
    )
    bare = replace(run.checkpoint, about=msgspec.structs.replace(about, training=training))
    return VariantRun(run.seed, bare, run.file_bytes)
