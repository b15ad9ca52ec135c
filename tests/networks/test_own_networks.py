"""Networks of the user's own through train, finetune, prune and evaluate, with weights of their own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench.errors import BadFile, UserError
from edgebench.evaluate import evaluate
from edgebench.finetune import finetune
from edgebench.networks import models, pruning, pruning_effect, sparsity
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.own_network import code, output_layer, reshaped
from edgebench.networks.starting import NetworkOptions, StartingPoint
from edgebench.prune import prune
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.train import TrainOptions, train
from tests.conftest import run_cli
from tests.support.own_networks import CODE
from tests.support.trainings import Lines

torch = pytest.importorskip("torch")
nn = torch.nn

DATA = "fashion-mnist-mini@200,100"
GREY = (1, 28, 28)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "nets.py").write_text(CODE)
    return folder


@pytest.fixture(autouse=True)
def folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(project)
    yield project
    sys.modules.pop("nets", None)


@pytest.fixture(scope="module")
def trained(project: Path) -> Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        options = TrainOptions({"width": 32})
        return train("nets:make", DATA, epochs=1, seed=3, options=options, out=project / "trained.safetensors")


def answers(network: Any, shape: tuple[int, ...] = GREY) -> Any:
    with torch.no_grad():
        return network.eval()(torch.randn(3, *shape, generator=torch.Generator().manual_seed(1)))


def weights_of(made: Any, path: Path) -> Path:
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": one for name, one in made.state_dict().items()}}, path)
    return path


# ------------------------------------------------------------------ train, and what comes after


def test_the_checkpoint_says_how_to_make_the_network_again(trained: Checkpoint) -> None:
    about = checkpoint.load(trained.path).about
    assert (about.model, about.arguments, about.weights, about.reshaped) == ("nets:make", {"width": 32}, None, {})
    assert about.size == models.count(code.make("nets:make", {"width": 32}), GREY)
    assert rebuild(trained).first.out_channels == 32
    assert evaluate(trained.path, pictures=False).model == "nets:make"


def test_pruned_twice_and_tuned_it_is_rebuilt_with_the_same_answers(trained: Checkpoint, tmp_path: Path) -> None:
    lines = Lines()
    once = prune(trained.path, ratio=0.5, finetune=1, out=tmp_path / "once.safetensors", progress=lines)
    assert once.step.channels_removed == sum((16, 32, 16, 32, 32)) and once.step.untouched == {"head": "output layer"}
    assert "channels: 128 of 266 removed" in lines.lines and "not cut: head: output layer" in lines.lines
    assert once.checkpoint.about.reshaped["groups"] == {"num_channels": 16}
    twice = prune(once.path, ratio=0.5, finetune=0, out=tmp_path / "twice.safetensors")
    tuned = finetune(twice.path, epochs=1, out=tmp_path / "tuned.safetensors")
    network = rebuild(tuned)
    assert network.grouped.out_channels == 16 and tuned.about.size == twice.step.after
    assert sparsity.table_of(tuned.path).dense_weights > 4 * sparsity.table_of(tuned.path).total.weights
    assert tuned.about.training[-1].parent == twice.checkpoint.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: None, "cannot be imported"),
        (lambda text: text.replace("def make(width=16", "def make(wide=16"), "calling it with width failed .TypeError"),
        (lambda text: text.replace("2 * width, 3, padding=1, stride=2", "width, 3, padding=1, stride=2"), "makes now"),
        (lambda text: text.replace("self.prelu = nn.PReLU", "self.other = nn.PReLU"), "no 'other.weight'"),
    ],
)
def test_code_that_is_gone_or_another_one(
    trained: Checkpoint, tmp_path: Path, monkeypatch: Any, change: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("nets", None)
    if changed := change(CODE):
        (tmp_path / "nets.py").write_text(changed)
    with pytest.raises(UserError, match=words) as raised:
        rebuild(trained)
    assert str(trained.path) in raised.value.where and "as it was then" in raised.value.remedy


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"first": {"widths": 3}}, "no size"),
        ({"firs": {}}, "no attribute"),
        ({"first": {"out_channels": -1}}, "not a size"),
        ({"first": {"_parameters": 3}}, "no size"),
        ({"first": {"training": 0}}, "no size"),
    ],
)
def test_sizes_that_no_layer_keeps_are_refused(trained: Checkpoint, tmp_path: Path, sizes: Any, words: str) -> None:
    about = msgspec.structs.replace(trained.about, reshaped=sizes)
    with pytest.raises(UserError, match=words):
        rebuild(checkpoint.save(rebuild(trained), about, tmp_path / "odd.safetensors"))


@pytest.mark.slow
@pytest.mark.export
def test_its_export_runs_the_code_in_workers_only(trained: Checkpoint, folder: Path, tmp_path: Path) -> None:
    from edgebench.export import ExportOptions, export

    small = prune(trained.path, ratio=0.5, finetune=0, out=tmp_path / "small.safetensors")
    sys.modules.pop("nets", None)
    made = export(str(small.path), ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert "nets" not in sys.modules and str(folder) not in sys.path
    (artifact,) = made.bundle.artifacts
    assert artifact.parity is not None and artifact.parity.top1_agreement == 1


# ------------------------------------------------------------------ weights of files


def test_a_network_with_weights_is_pruned_and_evaluated_without_a_training(folder: Path, tmp_path: Path) -> None:
    file = weights_of(code.make("nets:make", seed=7), tmp_path / "best.pth")
    start = StartingPoint("nets:make", DATA, NetworkOptions(weights=str(file)))
    lines = Lines()
    pruned = prune(start, ratio=0.5, finetune=0, out=tmp_path, progress=lines)
    parent = checkpoint.load(tmp_path / "nets-make.safetensors")
    assert pruned.path.name == "nets-make-channels.safetensors" and pruned.step.parent == parent.digest
    assert pruned.step.parent_accuracy == parent.about.metrics.accuracy and parent.about.training == ()
    origin = pruned.checkpoint.about.weights
    assert origin is not None and (origin.file, len(origin.sha256)) == ("best.pth", 64)
    assert origin.note == "taken from 'state_dict', 'module.' cut off the names"
    prune(start, ratio=0.5, finetune=0, out=tmp_path, progress=lines)
    assert not (tmp_path / "nets-make-2.safetensors").exists() and any("before" in line for line in lines.lines)
    assert evaluate(start, pictures=False).accuracy == parent.about.metrics.accuracy


def test_another_number_of_classes_gets_another_output_layer(tmp_path: Path) -> None:
    file = weights_of(code.make("nets:make", {"classes": 7}, seed=7), tmp_path / "seven.pth")
    seven = code.make("nets:make", {"classes": 7}, seed=7)
    start = StartingPoint("nets:make", DATA, NetworkOptions({"classes": 7}, str(file)))
    lines = Lines()
    made = finetune(start, epochs=1, out=tmp_path / "tuned.safetensors", progress=lines)
    assert any("'head' replaced, 7 -> 10 classes" in line for line in lines.lines)
    assert made.about.reshaped == {"head": {"out_features": 10}} and rebuild(made).head.out_features == 10
    ten = StartingPoint("nets:make", DATA, NetworkOptions(weights=str(file)))
    tuned = finetune(ten, epochs=1, out=tmp_path / "ten.safetensors", progress=lines)
    assert tuned.about.weights is not None and "'head' keeps random weights: 7 classes" in tuned.about.weights.note
    assert torch.equal(rebuild(checkpoint.load(tmp_path / "nets-make.safetensors")).row.weight, seven.row.weight)
    for point in (start, ten):
        with pytest.raises(UserError, match="7"):
            evaluate(point, pictures=False)


def test_built_in_networks_take_weights_too(tmp_path: Path) -> None:
    theirs = models.build("mlp-small", GREY, 4)
    file = weights_of(theirs, tmp_path / "four.pth")
    made = train("mlp-small", DATA, epochs=1, options=TrainOptions(weights=str(file)), out=tmp_path / "m.safetensors")
    assert (
        made.about.weights is not None and "keeps random weights: 4 classes in the file, 10" in made.about.weights.note
    )


def test_what_is_said_when_something_is_missing(trained: Checkpoint, tmp_path: Path) -> None:
    pth = weights_of(nn.Linear(3, 2), tmp_path / "best.pth")
    for start, words in (
        (StartingPoint("nets:make"), "--dataset"),
        (StartingPoint("mlp-small", DATA), "never trained"),
        (StartingPoint(str(pth)), "--weights"),
        (StartingPoint(str(trained.path), options=NetworkOptions(weights="x.pth")), "has its own"),
        (StartingPoint("nets:make", DATA, NetworkOptions(weights="absent.pth")), "no such file"),
        (StartingPoint("nets:make", DATA, NetworkOptions(weights=str(pth))), "no 'first.weight'"),
        (StartingPoint("nets:CODE", DATA), "cannot be imported"),
        (StartingPoint("nets:Evaluated", DATA), "does not run in training mode .*only for inference"),
        (StartingPoint("nets:nn.Flatten", DATA), "no parameters"),
        (
            StartingPoint(
                "nets:nn.Conv2d", DATA, NetworkOptions({"in_channels": 1, "out_channels": 2, "kernel_size": 3})
            ),
            "its output",
        ),
    ):
        with pytest.raises(UserError, match=words):
            prune(start, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pth"]


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(BadFile, match="contains code"):
        prune(StartingPoint("nets:make", DATA, NetworkOptions(weights=str(tmp_path / "evil.pth"))), out=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_grey_images_for_a_network_of_colours_are_refused_with_the_way_out() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    with pytest.raises(UserError, match="does not take images of 1x8x8.*--preprocessing imagenet makes that of grey"):
        output_layer.outputs("nets:make", network, (1, 8, 8))


def test_help_says_that_code_is_run(tmp_path: Path) -> None:
    for command in ("train", "finetune", "prune", "evaluate"):
        shown = " ".join(run_cli(command, "--help", cwd=tmp_path).stdout.replace("│", " ").split())
        assert "whose code is run" in shown and "--weights" in shown


# ------------------------------------------------------------------ which channels go


@pytest.mark.parametrize(
    ("name", "removed", "untouched"),
    [
        ("Sizes", {"second": 16}, {"first": "does not run without some of its channels"}),
        ("Shuffled", {"second": 16}, {"first": "change places"}),
        ("Tied", {}, {"first": "shares its weights with", "twin": "shares its weights with 'last'"}),
        ("Attention", {"patches": 16, "wide": 32, "narrow": 16}, {}),
        ("Recurrent", {"hidden": 16, "into": 8}, {"lstm": "recurrent layer"}),
        ("Functional", {}, {"into": "does not run", "inner": "other code uses its weights"}),
    ],
)
def test_what_cannot_be_cut_is_left_whole_and_said(
    name: str, removed: dict[str, int], untouched: dict[str, str]
) -> None:
    network, dense = code.make(f"nets:{name}"), code.make(f"nets:{name}")
    expected = answers(dense)
    cuts = pruning.apply("channels", network, 0.5, GREY)
    for layer, reason in untouched.items():
        assert re.search(reason, cuts.untouched[layer]), cuts.untouched
    for layer, count in removed.items():
        before, after = dense.get_submodule(layer).weight.shape[0], network.get_submodule(layer).weight.shape[0]
        assert before - after == count, (layer, cuts.untouched)
    assert answers(network).shape == expected.shape
    sizes = msgspec.json.decode(msgspec.json.encode(reshaped.differences(dense, network)))
    reshaped.apply(dense, sizes, network.state_dict(), others=False)
    dense.load_state_dict(network.state_dict())
    assert torch.equal(answers(dense), answers(network))


def test_a_layer_that_only_training_uses(tmp_path: Path) -> None:
    made = train("nets:Auxiliary", DATA, epochs=1, out=tmp_path / "aux.safetensors")
    with pytest.raises(UserError, match="never run: aux"):
        prune(made.path, out=tmp_path)
    without = train(
        "nets:Auxiliary", DATA, epochs=1, options=TrainOptions({"helps": False}), out=tmp_path / "n.safetensors"
    )
    assert prune(without.path, ratio=0.5, finetune=1, out=tmp_path).step.channels_removed == 8


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    made = train("nets:Tied", DATA, epochs=1, out=tmp_path / "tied.safetensors")
    network = rebuild(made)
    assert network.twin.weight is network.last.weight


def test_a_network_that_its_code_does_not_make_again_is_refused() -> None:
    one, other = code.make("nets:Sizes", seed=1), code.make("nets:Sizes", seed=2)
    with pytest.raises(UserError, match="answers differently"):
        pruning_effect.refuse_another_network("x", one, other, GREY)
    other.width = 3
    with pytest.raises(UserError, match="does not run"):
        pruning_effect.refuse_another_network("x", one, other, GREY)


def test_random_numbers_of_the_caller_are_not_moved() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    output_layer.check_training("x", code.make("nets:make"), GREY)
    assert torch.equal(torch.get_rng_state(), state)
