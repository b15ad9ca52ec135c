"""Reconstructions of the source studies' mistakes, and the same made right: real checkpoints, records and networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgebench.energy import codecarbon_table
from edgebench.networks import models
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.schema.history import EnergyShare, Epoch, Metrics, PruningStep, Size, Training, TrainingCost
from edgebench.schema.preprocessing import Preprocessing
from edgebench.studies.audit import AuditedNetwork, AuditEvidence
from tests.support.records import make_artifact, make_reading, make_record

DATA = Path(__file__).parents[1] / "data" / "audit"
GREY, COLOUR = (1, 28, 28), (3, 32, 32)
SGD = {"name": "sgd", "optimiser": {"name": "sgd", "learning_rate": 0.01}}


class Case(NamedTuple):
    """mistake, corrected: folder -> evidence. words: of what the detector says about the mistake."""

    detector: str
    mistake: Callable[[Path], AuditEvidence]
    words: tuple[str, ...]
    corrected: Callable[[Path], AuditEvidence]


# ------------------------------------------------------------------ pieces


def network(model: str, shape: tuple[int, int, int] = GREY, classes: int = 10, seed: int = 0, **arguments: Any) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return models.build(model, shape, classes, **arguments)


def save(folder: Path, name: str, module: Any, model: str, accuracy: float = 0.9, **changes: Any) -> Checkpoint:
    """`changes` are fields of checkpoint.Metadata; by default it is of the whole test split of MNIST."""
    shape = changes.pop("input_shape", GREY)
    about = checkpoint.Metadata(
        model=model,
        dataset="mnist",
        input_shape=shape,
        class_names=tuple("0123456789"),
        preprocessing=Preprocessing((0.5,) * shape[0], (0.5,) * shape[0]),
        size=models.count(module, shape),
        metrics=Metrics(accuracy, 0.3, 10_000),
    )
    return checkpoint.save(module, msgspec.structs.replace(about, **changes), folder / f"{name}.safetensors")


def trained(epochs: int = 3, *, seed: int = 0, **changes: Any) -> Training:
    history = (Epoch(0.5, 0.4, 0.90, 0.01),) * epochs
    made = Training(recipe=SGD, seed=seed, split_sha256="a" * 64, device="cpu, 1 threads", history=history)
    return msgspec.structs.replace(made, **{"kept_epoch": epochs, **changes})


def cost(*energy: EnergyShare, intensity: float | None = None) -> TrainingCost:
    return TrainingCost(60.0, 48_000, energy=energy, intensity_g_per_kwh=intensity)


def step(method: str, ratio: float, parent: Checkpoint | None = None, **changes: Any) -> PruningStep:
    size = Size(13_002, 12_960, 52_008)
    accuracy = parent.about.metrics.accuracy if parent else 0.0
    made = PruningStep(method, ratio, 0, size, size, parent.digest if parent else "", accuracy, form="baked")
    return msgspec.structs.replace(made, **changes)


def zero(module: Any, shares: dict[int, float]) -> Any:
    """The given share of the smallest weights of each layer, by its place in the network."""
    import torch

    with torch.no_grad():
        for place, share in shares.items():
            weight = module[place].weight
            smallest = weight.abs().reshape(-1).argsort()[: int(share * weight.numel())]
            weight.reshape(-1)[smallest] = 0
    return module


def zero_globally(module: Any, share: float) -> Any:
    """The smallest weights of all Conv and Linear layers, in one ranking."""
    import numpy as np
    import torch

    weights = [parameter for parameter in module.parameters() if parameter.dim() > 1]
    ranked = torch.cat([weight.detach().abs().reshape(-1) for weight in weights])
    count = round(share * len(ranked))
    keep = torch.ones(len(ranked), dtype=torch.bool)
    keep[np.argpartition(ranked.numpy(), count)[:count]] = False
    with torch.no_grad():
        for weight, kept in zip(weights, keep.split([weight.numel() for weight in weights]), strict=True):
            weight *= kept.reshape(weight.shape)
    return module


# ------------------------------------------------------------------ trainings


def _of_one_training(training: Training, **changes: Any) -> Callable[[Path], AuditEvidence]:
    def evidence(folder: Path) -> AuditEvidence:
        return AuditEvidence(
            checkpoints=(save(folder, "net", network("mlp-small"), "mlp-small", training=(training,), **changes),)
        )

    return evidence


def _pruned_and_tuned(*, control: bool) -> Callable[[Path], AuditEvidence]:
    """Section 5.4, with its accuracies: what two more epochs at a lower rate do, with pruning and without."""

    def evidence(folder: Path) -> AuditEvidence:
        plain: dict[str, Any] = {"model": "ultralight", "dataset": "cifar10", "input_shape": COLOUR}
        base = save(folder, "base", network("ultralight", COLOUR), accuracy=0.4798, training=(trained(7),), **plain)
        plain["training"] = (trained(7), trained(2, parent=base.digest))
        half = zero_globally(network("ultralight", COLOUR, seed=1), 0.5)
        pruned = step("l1-global", 0.5, base, finetune_epochs=2)
        made = [base, save(folder, "pruned-50", half, accuracy=0.5343, pruning=(pruned,), **plain)]
        if control:
            made.append(save(folder, "dense-control", network("ultralight", COLOUR, seed=2), accuracy=0.5355, **plain))
        return AuditEvidence(checkpoints=tuple(made))

    return evidence


def _seeds(*seeds: int) -> Callable[[Path], AuditEvidence]:
    """A dense and a pruned variant, each trained with these seeds."""

    def evidence(folder: Path) -> AuditEvidence:
        made = []
        for number, seed in enumerate(seeds):
            for name, pruning in (("dense", ()), ("pruned", (step("l1-hidden", 0.5),))):
                module = network("mlp-small", seed=number + 10 * len(pruning))
                about = {"training": (trained(seed=seed),), "pruning": pruning}
                made.append(save(folder, f"{name}-{number}", module, "mlp-small", **about))
        return AuditEvidence(checkpoints=tuple(made))

    return evidence


def _next_stage(*, frozen: bool) -> Callable[[Path], AuditEvidence]:
    """The lightweight-CNN study: all is to be trained, and the convolutions stay what they were."""

    def evidence(folder: Path) -> AuditEvidence:
        before, after = (network("dual-cnn", COLOUR, seed=seed) for seed in (0, 1))
        if frozen:
            convolutions = ("branches.0.0", "branches.0.3", "branches.1.0", "branches.1.3")
            kept = {name: tensor for name, tensor in before.state_dict().items() if name.startswith(convolutions)}
            after.load_state_dict(kept, strict=False)
        plain: dict[str, Any] = {"model": "dual-cnn", "dataset": "cifar10", "input_shape": COLOUR}
        parent = save(folder, "head", before, training=(trained(),), **plain)
        child = save(folder, "all", after, training=(trained(), trained(10, parent=parent.digest)), **plain)
        return AuditEvidence(checkpoints=(parent, child))

    return evidence


def _two_splits(*, same: bool) -> Callable[[Path], AuditEvidence]:
    def evidence(folder: Path) -> AuditEvidence:
        first, second = trained(), trained(split_sha256=("a" if same else "b") * 64)
        return AuditEvidence(
            checkpoints=tuple(
                save(folder, name, network("mlp-small", seed=seed), "mlp-small", training=(training,))
                for seed, (name, training) in enumerate({"trained": first, "inference": second}.items())
            )
        )

    return evidence


# ------------------------------------------------------------------ prunings

HIDDEN = {3: 0.5}
UNIFORM = {1: 0.5, 3: 0.5, 5: 0.5}


def _small_mlp(
    folder: Path, name: str, shares: dict[int, float], method: str, ratio: float = 0.5, **options: Any
) -> Any:
    """The PLOS study's small MLP, 12,960 weights, pruned layer by layer."""
    module = zero(network("mlp-small"), shares)
    nonzero = sum(int(p.count_nonzero()) for p in module.parameters() if p.dim() > 1)
    pruned = step(method, ratio, weights=12_960, nonzero=nonzero, options=options)
    return save(folder, name, module, "mlp-small", pruning=(pruned,))


def _layer_wise_and_global(folder: Path) -> AuditEvidence:
    return AuditEvidence(
        checkpoints=(
            _small_mlp(folder, "S_50_L_PT", HIDDEN, "l1-hidden"),
            _small_mlp(folder, "S_50_G_PT", UNIFORM, "l1-uniform"),
        )
    )


def _at_equal_budgets(folder: Path) -> AuditEvidence:
    equal = {1: 0.01, 5: 0.0125}
    return AuditEvidence(
        checkpoints=(
            *_layer_wise_and_global(folder).checkpoints,
            _small_mlp(folder, "uniform-1", equal, "l1-uniform", 0.0099),
        )
    )


def _one_layer_wise(ratio: float) -> Callable[[Path], AuditEvidence]:
    return lambda folder: AuditEvidence(checkpoints=(_small_mlp(folder, "S_50_L_PT", HIDDEN, "l1-hidden", ratio),))


def _flag(*, passed_on: bool) -> Callable[[Path], AuditEvidence]:
    def evidence(folder: Path) -> AuditEvidence:
        shares = {"layer-wise": HIDDEN if passed_on else UNIFORM, "global": UNIFORM}
        made = [_small_mlp(folder, name, share, "l1", approach=name) for name, share in shares.items()]
        return AuditEvidence(checkpoints=tuple(made))

    return evidence


def _called_global(*, ranked: bool) -> Callable[[Path], AuditEvidence]:
    def evidence(folder: Path) -> AuditEvidence:
        module = zero_globally(network("mlp-small"), 0.5) if ranked else zero(network("mlp-small"), UNIFORM)
        made = save(folder, "S_50_G_PT", module, "mlp-small", pruning=(step("l1-global", 0.5),))
        return AuditEvidence(checkpoints=(made,))

    return evidence


def _channels(*widths: int) -> Callable[[Path], AuditEvidence]:
    """UltraLightCNN and what 30 % of its channels less should be: 101,930 -> 48,410 parameters."""

    def evidence(folder: Path) -> AuditEvidence:
        dense, left = network("ultralight"), network("ultralight", widths=widths, seed=1)
        parent = save(folder, "dense", dense, "ultralight")
        before, after = models.count(dense, GREY), models.count(left, GREY)
        pruned = step("channels", 0.3, parent, before=before, after=after, form="smaller")
        return AuditEvidence(checkpoints=(parent, save(folder, "pruned", left, "ultralight", pruning=(pruned,))))

    return evidence


def _resnet(share: float, method: str) -> Callable[[Path], AuditEvidence]:
    """Stock ResNet18, 11,172,032 weights. As after training: what gets no gradient has only decayed (section 5.4)."""

    def evidence(folder: Path) -> AuditEvidence:
        import torch

        from edgebench.networks import sparsity

        module = network("resnet18", COLOUR)
        with torch.no_grad():
            for layer in sparsity.layers(module, COLOUR):
                dead = ~sparsity.live(layer)
                layer.module.weight[dead] *= 0.0094 / 0.0154 if method == "magnitude" else 1e3
        return AuditEvidence(networks=(AuditedNetwork("ResNet18", zero_globally(module, share), COLOUR),))

    return evidence


# ------------------------------------------------------------------ networks


def _vgg16(*, keeps_classifier: bool) -> Callable[[Path], AuditEvidence]:
    """The PLOS study's code, without memory: torchvision's VGG-16 with another head behind its features."""

    def evidence(_: Path) -> AuditEvidence:
        import torch
        import torchvision
        from torch import nn

        class Vgg(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.vgg = torchvision.models.vgg16(weights=None)
                if not keeps_classifier:
                    del self.vgg.classifier
                self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.Linear(512, 10))

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                answer: torch.Tensor = self.head(self.vgg.features(image).flatten(1))
                return answer

        with torch.device("meta"):
            return AuditEvidence(networks=(AuditedNetwork("VGG-16", Vgg(), COLOUR),))

    return evidence


def _mlp(*, softmax: bool) -> Callable[[Path], AuditEvidence]:
    def evidence(_: Path) -> AuditEvidence:
        import torch
        from torch import nn

        with torch.device("meta"):
            module = network("mlp-medium")
            return AuditEvidence(
                networks=(AuditedNetwork("mlp", nn.Sequential(module, nn.Softmax(1)) if softmax else module, GREY),)
            )

    return evidence


def _cifar_resnet(*, pooled: bool) -> Callable[[Path], AuditEvidence]:
    def evidence(_: Path) -> AuditEvidence:
        import torch
        from torch import nn

        with torch.device("meta"):
            module = network("resnet18-cifar", COLOUR, 100)
            if not pooled:
                module.avgpool = nn.Identity()
        return AuditEvidence(networks=(AuditedNetwork("ResNet-18", module, COLOUR),))

    return evidence


# ------------------------------------------------------------------ measurements


def _medium_mlps(copy_ns: float) -> Callable[[Path], AuditEvidence]:
    """Section 9: dense, its identical copy, and a variant, in one job."""

    def evidence(_: Path) -> AuditEvidence:
        files = {"dense": 5_671_000.0, "dense-identical-copy": copy_ns, "layer-wise-80": 5_236_000.0}
        records = [
            make_record(make_artifact(f"{name}-onnx-fp32", content=name.removesuffix("-identical-copy")), p50_ns=ns)
            for name, ns in files.items()
        ]
        return AuditEvidence(records=tuple(records))

    return evidence


def _metered(scope: str, seconds: float) -> Callable[[Path], AuditEvidence]:
    reading = make_reading(scope=scope, window_s=seconds)
    return lambda _: AuditEvidence(records=(make_record(energy=(reading,)),))


def _emissions(name: str) -> Callable[[Path], AuditEvidence]:
    return lambda _: AuditEvidence(emissions=codecarbon_table.load(DATA / name).runs)


def _grids(*intensities: float) -> Callable[[Path], AuditEvidence]:
    def evidence(folder: Path) -> AuditEvidence:
        return AuditEvidence(
            checkpoints=tuple(
                save(folder, f"net-{number}", network("mlp-small"), "mlp-small", training=(trained(cost=paid),))
                for number, paid in enumerate(cost(intensity=grams) for grams in intensities)
            )
        )

    return evidence


MEASURED = EnergyShare("gpu", 50_000.0, "measured", "NVML counter of the board")
MODELLED = EnergyShare("cpu", 27_586.0, "modelled", "codecarbon, constant 42.5 W")
TRAIN = Metrics(0.525, 1.9, 50_000)
VALIDATION = Metrics(0.66, 1.0, 10_000)

CASES = [
    Case(
        "missing-dense-control",
        _pruned_and_tuned(control=False),
        ("53.43%", "47.98%", "+5.45 points", "2 more epochs"),
        _pruned_and_tuned(control=True),
    ),
    Case(
        "selected-on-test",
        _of_one_training(trained(30, selected_on="test", kept_epoch=27)),
        ("epoch 27 of 30",),
        _of_one_training(trained(30, selected_on="validation", kept_epoch=27)),
    ),
    Case(
        "train-accuracy-as-test",
        _of_one_training(trained(train=TRAIN), metrics=TRAIN),
        ("52.50% at a loss of 1.9000", "training images"),
        _of_one_training(trained(train=TRAIN), metrics=Metrics(0.612, 1.5, 10_000)),
    ),
    Case(
        "not-the-test-split",
        _of_one_training(trained(), metrics=Metrics(0.9476, 0.2, 6_000)),
        ("6,000 images", "mnist has 10,000"),
        _of_one_training(trained(), metrics=Metrics(0.9476, 0.2, 10_000)),
    ),
    Case(
        "not-the-test-split",
        _of_one_training(trained(split_sha256="")),
        ("there is no record of which images",),
        _of_one_training(trained()),
    ),
    Case("not-the-test-split", _two_splits(same=False), ("split differently", "'trained'"), _two_splits(same=True)),
    Case(
        "augmented-evaluation",
        _of_one_training(trained(history=(Epoch(0.9, 1.2, 0.6027, 0.01),) * 3, validation=VALIDATION)),
        ("60.27%", "66.00%", "epoch 3"),
        _of_one_training(trained(history=(Epoch(0.9, 1.2, 0.6599, 0.01),) * 3, validation=VALIDATION)),
    ),
    Case(
        "single-seed", _seeds(42), ("2 of 2 variants on mnist have one seed", "'dense-0', 'pruned-0'"), _seeds(0, 1, 2)
    ),
    Case("single-seed", _seeds(42, 42), ("2 of 2 variants",), _seeds(0, 1, 2)),
    Case(
        "stage-trains-nothing",
        _next_stage(frozen=True),
        ("after 10 epochs, 4,200 of 334,706 parameters", "bit-identical to those of 'head'"),
        _next_stage(frozen=False),
    ),
    Case(
        "unequal-budgets",
        _layer_wise_and_global,
        ("50%", "12,832 weights", "6,480", "128 and 6,480 are removed, 51x"),
        _at_equal_budgets,
    ),
    Case("sparsity-far-from-nominal", _one_layer_wise(0.5), ("50%", "128 of 12,960", "0.99%"), _one_layer_wise(0.0099)),
    Case(
        "option-without-effect",
        _flag(passed_on=False),
        ("approach (layer-wise, global)", "'layer-wise'", "bit-identical"),
        _flag(passed_on=True),
    ),
    Case(
        "global-but-uniform", _called_global(ranked=False), ("50.0% of each of 3 layers",), _called_global(ranked=True)
    ),
    Case(
        "structured-changes-nothing",
        _channels(16, 32, 64),
        ("101,930 parameters and 342,464 MACs, as many as before",),
        _channels(11, 22, 44),
    ),
    Case("file-not-smaller", _channels(16, 32, 64), ("pruned at 0.3", "its parent"), _channels(11, 22, 44)),
    Case(
        "pruned-without-gradient",
        _resnet(0.5, "magnitude"),
        ("of its 5,586,016 zeros", "6,946,816 of 11,172,032"),
        _resnet(0.3, "live weights"),
    ),
    Case(
        "unused-parameters",
        _vgg16(keeps_classifier=True),
        ("123,642,856 of its 138,887,986", "vgg.classifier.0.weight"),
        _vgg16(keeps_classifier=False),
    ),
    Case("double-softmax", _mlp(softmax=True), ("softmax",), _mlp(softmax=False)),
    Case("cannot-run", _cifar_resnet(pooled=False), ("3x32x32", "8192", "512"), _cifar_resnet(pooled=True)),
    Case(
        "latency-within-noise",
        _medium_mlps(4_690_000.0),
        ("0.923x of 'dense-onnx-fp32'", "differ by 17.3%"),
        _medium_mlps(5_672_000.0),
    ),
    Case("energy-window", _metered("cpu_package", 0.1), ("0.1 s",), _metered("cpu_package", 10.0)),
    Case("energy-of-another-device", _metered("gpu_board", 10.0), ("gpu", "ran on cpu"), _metered("cpu_package", 10.0)),
    Case(
        "energy-of-another-device",
        _of_one_training(trained(cost=cost(MEASURED))),
        ("that of gpu",),
        _of_one_training(trained(device="cuda, Tesla T4", cost=cost(MEASURED))),
    ),
    Case(
        "modelled-energy",
        _of_one_training(trained(cost=cost(msgspec.structs.replace(MODELLED, provenance="measured")))),
        ("27586 J of cpu", "constant 42.5 W"),
        _of_one_training(trained(cost=cost(MODELLED))),
    ),
    Case(
        "modelled-energy",
        _emissions("emissions.csv"),
        ("44% of its 0.02224 kWh", "cpu 42.5 W", "ram 11.756 W"),
        _emissions("emissions_corrected.csv"),
    ),
    Case(
        "different-regions",
        _emissions("emissions.csv"),
        ("452.6 g/kWh in iowa, 285.5 in south carolina", "10.26x", "energy 16.26x", "11.74 and 190.94 g"),
        _emissions("emissions_corrected.csv"),
    ),
    Case("different-regions", _grids(452.6, 285.5), ("285.5 g/kWh", "net-0 at 452.6"), _grids(285.5, 285.5)),
    Case(
        "last-sample-power",
        _emissions("emissions.csv"),
        ("gpu_power is 62.4 W", "75.23 W", "above that of efficientnet-b4"),
        _emissions("emissions_corrected.csv"),
    ),
]
