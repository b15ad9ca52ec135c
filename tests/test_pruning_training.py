"""Zeros while a network trains, and `prune` from checkpoint to checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench import checkpoint, data, models, pruning, sparsity, training
from edgebench.checkpoint import Checkpoint
from edgebench.data import Dataset
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.prune import prune
from edgebench.pruning import Request, dead_taps
from edgebench.pruning._moving import Rules, rewire
from edgebench.train import train
from edgebench.training.recipes import Adam, AdamW, Constant, Lion, Sgd
from tests.conftest import run_cli

torch = pytest.importorskip("torch")
nn = torch.nn

GREY = (1, 28, 28)
FORMS = ["baked", "hooks"]


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(
        full,
        train=data.balanced(full.train, 200),
        validation=data.balanced(full.validation, 50),
        test=data.balanced(full.test, 50),
    )


@pytest.fixture
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(data, "load", lambda name: small)
    return small


def recipe(optimiser: Any, epochs: int = 3, **choices: Any) -> training.Recipe:
    return msgspec.structs.replace(
        training.recipe("default"), epochs=epochs, batch=50, optimiser=optimiser, schedule=Constant(), **choices
    )


def build(name: str = "mlp-small", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return models.build(name, GREY, 10)


def fit(network: Any, images: Dataset, chosen: training.Recipe, zeros: Any) -> training.Training:
    return training.fit(network, images, chosen, seed=0, label="x", progress=Silent(), sparsity=zeros)


def masks(network: Any) -> dict[str, Any]:
    return {layer.name: layer.module.weight != 0 for layer in sparsity.layers(network, GREY)}


def nonzeros(network: Any) -> list[int]:
    return [row.nonzero for row in sparsity.table(network, GREY).rows]


class Watched:
    """A Sparsity that remembers, after every epoch, what is not zero."""

    def __init__(self, inside: Any) -> None:
        self.inside, self.seen = inside, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def _note(self) -> None:
        self.seen.append({name: held.kept.clone() for name, held in self.inside.held.items()})

    def start(self, model: Any) -> None:
        self.inside.start(model)
        self._note()

    def after_epoch(self, model: Any, optimiser: Any, *, last: bool) -> None:
        self.inside.after_epoch(model, optimiser, last=last)
        self._note()


# ------------------------------------------------------------------ masks that stay


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "optimiser", [Sgd(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3), Adam(0.01), AdamW(0.01), Lion(0.001)]
)
def test_zeros_stay_zero(small: Dataset, optimiser: Any, form: Any) -> None:
    network = build("ultralight")
    expected = copy.deepcopy(network)
    pruning.apply("l1-global", expected, 0.6, GREY)
    zeros = pruning.sparsity("l1-global", 0.6, GREY, seed=0, form=form)
    fit(network, small, recipe(optimiser, clip_gradients=1.0), zeros)
    before, after = masks(expected), masks(network)
    assert all(torch.equal(before[name], after[name]) for name in before), "chosen from the weights before the training"
    assert not any(torch.signbit(weight[weight == 0]).any() for weight in network.parameters())
    assert not torch.equal(network.hidden.weight, expected.hidden.weight)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_both_forms_end_in_the_same_weights(small: Dataset, clip: float) -> None:
    """Also where a norm is clipped: the gradients of zeros must not count."""
    ended = []
    for form in FORMS:
        network = build()
        zeros = pruning.sparsity("l1-uniform", 0.7, GREY, seed=0, form=form)
        fit(network, small, recipe(Sgd(0.05, momentum=0.9), clip_gradients=clip), zeros)
        ended.append(network.state_dict())
    for name, weight in ended[0].items():
        torch.testing.assert_close(weight, ended[1][name], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_compiled_networks_are_multiplied_with_their_masks_too(small: Dataset) -> None:
    """Compiled code of the network without hooks, which is there already, must not be used for the one with them."""
    ended = []
    for form, policy in (("baked", "never"), ("baked", "always"), ("hooks", "always"), ("baked", "always")):
        network = build()
        chosen = recipe(Sgd(0.05), epochs=2, compile=policy)
        fit(network, small, chosen, pruning.sparsity("l1-uniform", 0.7, GREY, seed=0, form=form))
        ended.append(network[1].weight.detach())
    for weight in ended[1:]:
        torch.testing.assert_close(weight, ended[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_afterwards_nothing_is_left_registered(small: Dataset, form: Any) -> None:
    network = build()
    names = set(network.state_dict())
    fit(network, small, recipe(Sgd(0.1), epochs=1), pruning.sparsity("l1-uniform", 0.5, GREY, seed=0, form=form))
    assert set(network.state_dict()) == names
    network(torch.ones(2, *GREY)).sum().backward()
    gradient = network[1].weight.grad
    assert bool((gradient[network[1].weight == 0] != 0).any()), "gradients flow again"


def test_the_zeros_of_the_kept_epoch_are_kept(small: Dataset) -> None:
    """SET has other masks in the last epoch than in the best; those must not be cut out of its weights."""
    for form in FORMS:
        network = build()
        zeros = Watched(pruning.sparsity("set", 0.7, GREY, seed=0, form=form))
        steep = recipe(Sgd(3.0), epochs=4, keep="best-validation")
        run = fit(network, small, steep, zeros)
        assert run.kept_epoch < 4, "the test needs a training that gets worse"
        kept = zeros.seen[run.kept_epoch]
        assert all(torch.equal(found, kept[f"{name}.weight"]) for name, found in masks(network).items())


def test_removing_methods_keep_no_zeros() -> None:
    with pytest.raises(UserError, match="removes parts and keeps no zeros"):
        pruning.sparsity("channels", 0.5, GREY, seed=0)


# ------------------------------------------------------------------ masks that move


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant", ["corrected", "reference", "as-published"])
def test_set_moves_connections_and_never_their_number(small: Dataset, variant: str, form: Any) -> None:
    network = build()
    zeros = Watched(pruning.sparsity("set", 0.8, GREY, seed=1, form=form, variant=variant))
    run = fit(network, small, recipe(Adam(0.01), epochs=4), zeros)
    first = zeros.seen[0]
    for seen in zeros.seen[1:]:
        assert {name: int(kept.sum()) for name, kept in seen.items()} == {
            name: int(kept.sum()) for name, kept in first.items()
        }
    moved = [not torch.equal(a["1.weight"], b["1.weight"]) for a, b in zip(zeros.seen, zeros.seen[1:], strict=False)]
    assert moved == ([True] * 4 if variant == "as-published" else [True, True, True, False])
    assert {epoch.nonzero for epoch in run.history} == {sum(nonzeros(network))}
    assert sum(nonzeros(network)) == sum(int(kept.sum()) for kept in first.values())


LAYER = Rules(zeta=0.4, before=False, regrow=False, values="layer")


def test_the_weakest_of_each_sign_are_dropped() -> None:
    weight = torch.tensor([[0.1, 0.5, 0.9, -0.2, -0.3, -0.8, 7.0, 8.0, 9.0, 0.4, 0.3, -0.1]])
    kept = torch.tensor([[True] * 6 + [False] * 3 + [True] * 3])
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator().manual_seed(0))
    assert sorted(dropped.tolist()) == [0, 10, 11], "int(0.4 * 5) positive, int(0.4 * 4) negative"
    assert sorted(grown.tolist()) == [6, 7, 8], "nowhere else was room"


def test_no_more_is_dropped_than_can_grow_elsewhere() -> None:
    weight = torch.linspace(1, 2, 20).reshape(4, 5)
    kept = torch.ones(4, 5, dtype=torch.bool)
    kept[0, 3] = False
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator())
    assert (dropped.tolist(), grown.tolist()) == ([0], [3])
    kept[0, 3] = True
    dropped, grown = rewire(weight, kept, LAYER, torch.Generator())
    assert (len(dropped), len(grown)) == (0, 0), "a dense layer stays as it is"


def test_only_some_variants_grow_what_was_just_dropped() -> None:
    weight, kept = torch.linspace(1, 2, 100).reshape(10, 10), torch.zeros(10, 10, dtype=torch.bool)
    kept[:8] = True
    back = {}
    for regrow in (False, True):
        rules = dataclasses.replace(LAYER, regrow=regrow, zeta=0.2)
        dropped, grown = rewire(weight, kept, rules, torch.Generator().manual_seed(0))
        assert len(dropped) == len(grown) == 16
        back[regrow] = bool(torch.isin(grown, dropped).any())
    assert back == {False: False, True: True}


def moving(variant: str, form: Any = "baked") -> tuple[Any, Any, Any, Any]:
    """A started SET, with the network as it was before, and an optimiser that has a past everywhere."""
    network = build()
    before = copy.deepcopy(network)
    zeros = pruning.sparsity("set", 0.8, GREY, seed=0, form=form, variant=variant)
    zeros.start(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.0)
    network(torch.rand(8, *GREY)).square().sum().backward()
    optimiser.step()
    for held in zeros.held.values():
        optimiser.state[held.parameter]["exp_avg"].fill_(1.0)
    return zeros, network, before, optimiser


@pytest.mark.parametrize("form", FORMS)
def test_corrected_connections_are_new(form: Any) -> None:
    zeros, network, before, optimiser = moving("corrected", form)
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.before_epoch(network, optimiser)
    assert torch.equal(held.kept, was)
    zeros.after_epoch(network, optimiser, last=False)
    grown = held.kept & ~was
    fresh = held.parameter.detach()[grown]
    assert len(fresh) > 100 and float(fresh.abs().max()) <= 784**-0.5 and float(fresh.std()) > 0.4 * 784**-0.5
    assert not bool(torch.isin(fresh, before[1].weight).any())
    momentum = optimiser.state[held.parameter]["exp_avg"]
    assert bool((momentum[grown] == 0).all()) and bool((momentum[was] == 1).all())


@pytest.mark.parametrize("form", FORMS)
def test_published_connections_come_back_as_they_were(form: Any) -> None:
    zeros, network, before, optimiser = moving("as-published", form)
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.before_epoch(network, optimiser)
    grown = held.kept & ~was
    assert int(grown.sum()) > 100
    assert torch.equal(held.parameter[grown], before[1].weight[grown])
    assert bool((optimiser.state[held.parameter]["exp_avg"] == 1).all())
    now = held.kept.clone()
    zeros.after_epoch(network, optimiser, last=False)
    assert torch.equal(held.kept, now)


def test_reference_connections_are_drawn_wider() -> None:
    zeros, network, _, optimiser = moving("reference")
    held = zeros.held["1.weight"]
    was = held.kept.clone()
    zeros.after_epoch(network, optimiser, last=False)
    assert 0.08 < float(held.parameter.detach()[held.kept & ~was].std()) < 0.12


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant", ["corrected", "as-published"])
def test_a_moved_mask_goes_on_after_a_kill(variant: str, form: Any) -> None:
    zeros, network, _, optimiser = moving(variant, form)
    zeros.before_epoch(network, optimiser)
    zeros.after_epoch(network, optimiser, last=False)
    state, weights = zeros.state(), copy.deepcopy(network.state_dict())
    zeros.before_epoch(network, optimiser)
    zeros.after_epoch(network, optimiser, last=False)

    again, other, _, optimiser = moving(variant, form)
    other.load_state_dict(weights)
    again.restore(state)
    again.before_epoch(other, optimiser)
    again.after_epoch(other, optimiser, last=False)
    for name, held in zeros.held.items():
        assert torch.equal(held.kept, again.held[name].kept)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), other.parameters(), strict=True))


def test_one_object_serves_two_trainings(small: Dataset) -> None:
    zeros = pruning.sparsity("set", 0.8, GREY, seed=0)
    ended = []
    for _ in range(2):
        network = build()
        fit(network, small, recipe(Adam(0.01), epochs=2), zeros)
        ended.append(network[1].weight)
    assert torch.equal(*ended)


def test_a_network_that_is_sparse_from_the_first_says_so(quick: Dataset, tmp_path: Path) -> None:
    made = train("mlp-small", epochs=2, pruning=Request("set", 0.8, form="hooks"), out=tmp_path / "set.safetensors")
    (known,) = checkpoint.load(made.path).about.pruning
    assert (known.parent, known.form, known.ratio, known.options) == (
        ("", "baked", 0.8, {"variant": "corrected", "layers": "linear"})
    )
    assert (known.weights, known.nonzero) == (12_960, 2592)
    assert sum(nonzeros(made.build())) == 2592
    with pytest.raises(UserError, match="none of 2 linear layers"):
        train("ultralight", epochs=2, pruning=Request("l1-hidden", 0.5), out=tmp_path)


# ------------------------------------------------------------------ prune: checkpoint -> checkpoint


def save(name: str, path: Path, shape: models.InputShape = GREY, **arguments: Any) -> Checkpoint:
    """An untrained network as a checkpoint."""
    torch.manual_seed(0)
    network = models.build(name, shape, 10, **arguments)
    images = data.load("fashion-mnist-mini")
    about = checkpoint.Metadata(
        model=name,
        dataset="fashion-mnist-mini",
        input_shape=shape,
        class_names=images.class_names,
        preprocessing=images.preprocessing,
        size=models.count(network, shape),
        metrics=training.evaluate(network, images.test, images.preprocessing),
        arguments=arguments,
    )
    return checkpoint.save(network, about, path)


@pytest.fixture
def dense(quick: Dataset, tmp_path: Path) -> Checkpoint:
    return save("ultralight", tmp_path / "net.safetensors")


def test_zeros_survive_the_fine_tuning_and_are_counted(dense: Checkpoint) -> None:
    pruned = prune(dense.path, method="l1-global", ratio=0.5, finetune=2, out=dense.path.parent)
    assert pruned.path.name == "net-l1-global.safetensors"
    step = checkpoint.load(pruned.path).about.pruning[0]
    assert (step.form, step.ratio, step.finetune_epochs, step.parent) == ("baked", 0.5, 2, dense.digest)
    assert (step.weights, step.nonzero) == (101_792, 50_896)
    assert step.before == step.after
    cut = dense.build()
    pruning.apply("l1-global", cut, 0.5, GREY)
    left, tuned = masks(cut), pruned.checkpoint.build()
    assert all(torch.equal(left[name], kept) for name, kept in masks(tuned).items())
    assert not torch.equal(tuned.hidden.weight, cut.hidden.weight)
    assert "50,896 of 101,792 weights not zero" in str(pruned)


def test_earlier_zeros_survive_a_later_pruning(dense: Checkpoint) -> None:
    """Fine-tuning after channels went must not fill what l1-global had emptied."""
    sparse = prune(dense.path, method="l1-global", ratio=0.5, finetune=0, out=dense.path.parent)
    narrow = prune(sparse.path, method="channels", ratio=0.3, finetune=1, out=dense.path.parent)
    cut = sparse.checkpoint.build()
    pruning.apply("channels", cut, 0.3, GREY)
    assert nonzeros(narrow.checkpoint.build()) == nonzeros(cut)
    assert sparsity.table_of(narrow.path).effective > 0.5


@pytest.mark.parametrize("method", ["set", "l1-uniform"])
def test_set_can_fine_tune_too(dense: Checkpoint, method: str) -> None:
    pruned = prune(dense.path, method=method, ratio=0.5, finetune=2, out=dense.path.parent)
    rows = {row.layer: row.nonzero for row in sparsity.table(pruned.checkpoint.build(), GREY).rows}
    assert rows["hidden"] + rows["classifier"] == (100_352 + 640) // 2


def test_options_are_kept_with_their_defaults(dense: Checkpoint) -> None:
    options = {"criterion": "hybrid", "round_to": "8"}
    pruned = prune(dense.path, ratio=0.3, options=options, finetune=0, out=dense.path.parent)
    assert pruned.step.options == {"criterion": "hybrid", "round_to": 8}
    assert pruned.step.form == "smaller" and pruned.step.weights == pruned.step.nonzero == 57_600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "dead-taps", "ratio": 0.3}, "--ratio: pruning method 'dead-taps' removes all"),
        ({"method": "dead-taps", "finetune": 3}, "--finetune: 'dead-taps' changes no answer"),
        ({"method": "dead-taps"}, "no kernel is wider"),
        ({"options": {"criterium": "l1"}}, "Did you mean 'criterion'"),
        ({"recipe": "finetun"}, "Did you mean 'finetune'"),
        ({"method": "l1-hidden"}, "none of 2 linear layers"),
    ],
)
def test_bad_arguments_save_nothing(dense: Checkpoint, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        prune(dense.path, out=dense.path.parent / "out.safetensors", **arguments)
    assert [path.name for path in dense.path.parent.iterdir()] == ["net.safetensors"]


def test_pruning_to_the_same_zeros_again_is_refused(dense: Checkpoint) -> None:
    once = prune(dense.path, method="l1-global", ratio=0.5, finetune=0, out=dense.path.parent)
    with pytest.raises(UserError, match="left 50,896 of 50,896 weights that are not zero"):
        prune(once.path, method="l1-global", ratio=0.3, out=dense.path.parent)


# ------------------------------------------------------------------ dead taps, to the end


@pytest.fixture
def resnet(quick: Dataset, tmp_path: Path) -> Checkpoint:
    return save("resnet18", tmp_path / "resnet.safetensors")


def test_a_network_without_dead_taps_is_rebuilt(resnet: Checkpoint) -> None:
    cut = prune(resnet.path, method="dead-taps", out=resnet.path.parent)
    step = checkpoint.load(cut.path).about.pruning[0]
    assert (step.form, step.finetune_epochs, step.weights) == ("smaller", 0, 4_218_944)
    assert step.after.parameters == 4_228_554
    assert cut.checkpoint.about.metrics.accuracy == resnet.about.metrics.accuracy
    assert cut.size_bytes_after < 17.1e6
    images = torch.randn(2, *GREY)
    network = cut.checkpoint.build()
    with torch.inference_mode():
        assert float((network(images) - resnet.build()(images)).abs().max()) < 1e-5
    assert network.layer4[0].conv1.kernel_size == (2, 2) and network.layer4[0].conv1.padding == (0, 0)
    assert sparsity.table_of(cut.path).effective == pytest.approx(1 - 4_218_944 / 11_165_760)

    narrow = prune(cut.path, ratio=0.3, finetune=0, out=resnet.path.parent)
    assert narrow.checkpoint.build()(images).shape == (2, 10)


def test_a_method_that_says_lossless_and_is_not_is_refused(resnet: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dead_taps.shrink

    def careless(model: Any, input_shape: models.InputShape) -> None:
        real(model, input_shape)
        with torch.no_grad():
            model.fc.bias[3] += 1e-3

    monkeypatch.setattr(dead_taps, "shrink", careless)
    with pytest.raises(UserError, match="moved answers .* more than rounding"):
        prune(resnet.path, method="dead-taps", out=resnet.path.parent)
    assert len(list(resnet.path.parent.iterdir())) == 1


@pytest.mark.parametrize("padding", [{"layer9.conv": [0, 0]}, {"conv1": [0]}, {"conv1": "same"}, [1, 2]])
def test_padding_that_fits_no_layer_is_a_bad_file(quick: Dataset, tmp_path: Path, padding: Any) -> None:
    made = save("ultralight", tmp_path / "net.safetensors")
    once = prune(made.path, finetune=0, out=tmp_path)
    step = msgspec.structs.replace(once.step, options={"padding": padding})
    about = msgspec.structs.replace(once.checkpoint.about, pruning=(step,))
    odd = checkpoint.save(once.checkpoint.build(), about, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match="do not fit the model"):
        odd.build()


@pytest.mark.slow
@pytest.mark.export
def test_a_network_without_dead_taps_is_exported(quick: Dataset, tmp_path: Path) -> None:
    """Export checks every file's answers against the checkpoint's own."""
    from edgebench.export import export

    dense = save("mobilenetv2", tmp_path / "net.safetensors")
    cut = prune(dense.path, method="dead-taps", out=tmp_path)
    made = export(cut.path, formats=["onnx-fp32", "tflite-fp32"], out=tmp_path / "bundle")
    assert {path.name for path in made.path.iterdir()} >= {"onnx-fp32.onnx", "tflite-fp32.tflite"}


# ------------------------------------------------------------------ as typed


def test_the_program_prunes_and_shows_it(tmp_path: Path) -> None:
    save("mlp-small", tmp_path / "net.safetensors")
    done = run_cli(
        *("prune", "net.safetensors", "--method", "l1-uniform", "--ratio", "0.5", "--option", "layers=all"),
        *("--finetune", "0", "--out", "half.safetensors"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    shown = run_cli("sparsity", "half.safetensors", "--csv", "layers.csv", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "50.00% of the dense network's 12,960 weights" in " ".join(shown.stdout.split())
    assert (tmp_path / "layers.csv").is_file()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("prune net.safetensors --method l1-globl", "Did you mean 'l1-global'"),
        ("prune net.safetensors --option criterion", "NAME=VALUE"),
        ("sparsity net.onnx", "not a safetensors file"),
    ],
)
def test_what_is_typed_wrong_is_told(tmp_path: Path, typed: str, words: str) -> None:
    save("mlp-small", tmp_path / "net.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00onnxonnx")
    done = run_cli(*typed.split(), cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.split())


def test_the_table_of_a_deep_network_fits_a_terminal() -> None:
    import io

    from rich.console import Console

    from edgebench.report import _sparsity

    with torch.device("meta"):
        made = sparsity.Table(
            tuple(
                sparsity.Row(layer.name, 2_359_296, 1_234_567, 262_144, 200_000, 555_468_800, 222_000_000)
                for layer in sparsity.layers(models.build("resnet18", (3, 32, 32), 10), (3, 32, 32))
            ),
            11_172_032,
        )
    shown = io.StringIO()
    Console(file=shown, width=80).print(_sparsity.table(made))
    lines = shown.getvalue().splitlines()
    assert len(lines) == 23 and "layer4.1.conv2" in lines[-3]
    assert "…" in lines[8] and "2,359,296" in lines[8], "names are cut, numbers are not"
