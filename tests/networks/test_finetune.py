"""Training a checkpoint further: the control that pruning is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.finetune import finetune
from edgebench.networks import pruning, training
from edgebench.prune import prune
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.train import train
from tests.conftest import run_cli

torch = pytest.importorskip("torch")

DATASET = "fashion-mnist-mini@200,100"


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("dense") / "dense.safetensors"
    return checkpoint.load(train("mlp-small", DATASET, epochs=1, seed=3, out=path).path)


def test_it_has_one_more_training_and_says_what_it_comes_from(dense: Checkpoint, tmp_path: Path) -> None:
    made = finetune(dense.path, epochs=2, out=tmp_path)
    assert made.path.name == "dense-finetuned.safetensors"
    about = checkpoint.load(made.path).about
    first, second = about.training
    assert first == dense.about.training[0]
    assert (second.epochs, second.seed, second.parent) == (2, 3, dense.digest)
    assert second.recipe["name"] == "finetune"
    assert (about.dataset, about.preprocessing, about.pruning) == (DATASET, dense.about.preprocessing, ())
    assert about.metrics.test_images == 100
    assert any(
        not torch.equal(one, other)
        for one, other in zip(dense.tensors().values(), made.tensors().values(), strict=True)
    )


def test_the_same_again_gives_the_same_weights(dense: Checkpoint, tmp_path: Path) -> None:
    first, second = (finetune(dense.path, epochs=1, out=tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(torch.equal(tensor, second.tensors()[name]) for name, tensor in first.tensors().items())


def test_zeros_stay_zeros(dense: Checkpoint, tmp_path: Path) -> None:
    half = prune(dense.path, method="l1-global", ratio=0.5, finetune=0, out=tmp_path / "half.safetensors").checkpoint
    made = finetune(half.path, epochs=2, out=tmp_path)
    was, now = (
        {name: tensor == 0 for name, tensor in one.tensors().items() if name.endswith("weight")} for one in (half, made)
    )
    assert sum(int(zeros.sum()) for zeros in was.values()) == 6_480
    assert all(torch.equal(was[name], now[name]) for name in was)
    assert made.about.pruning == half.about.pruning


def test_a_smaller_network_stays_as_small(dense: Checkpoint, tmp_path: Path) -> None:
    small = prune(dense.path, method="channels", ratio=0.5, finetune=0, out=tmp_path / "small.safetensors").checkpoint
    made = finetune(small.path, epochs=1, out=tmp_path)
    assert made.about.size == small.about.size
    assert pruning.is_structured(made.about.pruning[0].method)


def test_after_a_kill_it_goes_on_with_the_epoch_that_was_under_way(
    dense: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetune(dense.path, epochs=3, out=tmp_path / "whole.safetensors")
    path = tmp_path / "killed.safetensors"
    real = training.state.save
    saved = 0

    def kill_at_the_second(*arguments: object) -> None:
        nonlocal saved
        real(*arguments)
        saved += 1
        if saved == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.state, "save", kill_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            finetune(dense.path, epochs=3, out=path)
    assert not path.exists() and training.state_path(path).exists()
    trained: list[int] = []
    epoch = training.run.TrainingRun.epoch
    monkeypatch.setattr(training.run.TrainingRun, "epoch", lambda run, *given: (trained.append(1), epoch(run, *given)))
    made = finetune(dense.path, epochs=3, out=path)
    assert len(trained) == 1
    assert all(torch.equal(tensor, made.tensors()[name]) for name, tensor in whole.tensors().items())
    assert not training.state_path(path).exists()


def test_what_is_wrong_is_told_before_any_work(dense: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="gone.safetensors: cannot be read"):
        finetune(tmp_path / "gone.safetensors")
    with pytest.raises(UnknownName, match="Did you mean 'finetune'"):
        finetune(dense.path, recipe="finetun")
    with pytest.raises(UserError, match="--epochs: 0 epochs train nothing"):
        finetune(dense.path, epochs=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        finetune(dense.path, epochs=1, out=tmp_path / "file" / "x.safetensors")


def test_the_command_says_where_it_is(dense: Checkpoint, tmp_path: Path) -> None:
    done = run_cli("finetune", dense.path, "--epochs", "1", "--out", "tuned.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tuned.safetensors"
    assert len(checkpoint.load(tmp_path / "tuned.safetensors").about.training) == 2
