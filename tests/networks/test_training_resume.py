"""How a training goes on after a kill, and what it does not go on from."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from edgebench.networks import training
from edgebench.networks.data import Dataset
from edgebench.networks.training.recipes import AdamW, EarlyStopping, OneCycle, Stage
from edgebench.schema import checkpoint
from edgebench.schema.history import Training
from edgebench.train import train_seeds
from tests.conftest import cli_command, run_cli
from tests.support.trainings import Lines, Spy, fit, network, recipe, weights
from tests.support.trainings import on_the_processor as on_the_processor
from tests.support.trainings import quick as quick
from tests.support.trainings import small as small

pytest.importorskip("torch")

KILLED = """
about: everything that has a state
epochs: 6
batch: 64
optimiser: {name: adamw, learning_rate: 0.004}
schedule: {name: one-cycle}
mix: {mixup_alpha: 0.4, probability: 0.5}
augment: {flip: true, shift: 1}
keep: best-validation
"""


@pytest.mark.usefixtures("one_thread")
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Every training in a process of its own: libraries that other tests loaded may round in another way."""
    (tmp_path / "all.yaml").write_text(KILLED)
    command = (
        "train", "dual-cnn", "--recipe", "all.yaml", "--dataset", "fashion-mnist-mini@640", "--seed", "4", "--out",
    )  # fmt: skip
    out = tmp_path / "net.safetensors"
    state = out.with_suffix(".part")

    process = subprocess.Popen(cli_command(*command, out), cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not state.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert state.exists() and not out.exists()

    resumed = run_cli(*command, out, cwd=tmp_path)
    assert resumed.returncode == 0 and "continues after epoch" in resumed.stdout
    assert not state.exists()
    straight = run_cli(*command, tmp_path / "straight.safetensors", cwd=tmp_path)
    assert straight.returncode == 0 and "goes on" not in straight.stdout
    checkpoints = [checkpoint.load(path) for path in (out, tmp_path / "straight.safetensors")]
    assert weights(checkpoints[0]) == weights(checkpoints[1])
    ours, theirs = (made.about.training[0] for made in checkpoints)
    assert ours.history == theirs.history and ours.kept_epoch == theirs.kept_epoch
    assert ours.cost is not None and theirs.cost is not None
    assert ours.cost.images == theirs.cost.images == 6 * 640


class Stop(Exception):
    pass


class StopsAfter(Spy):
    """Ends a training in the middle of an epoch, as far as the state on the disk can tell."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.left = epochs

    def before_epoch(self, model: Any, optimiser: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop


@pytest.mark.parametrize("done", [1, 2, 3])
def test_stages_and_stopping_go_on_where_they_were(small: Dataset, tmp_path: Path, done: int) -> None:
    stages = (Stage(("classifier.*",), 2, AdamW(0.01)), Stage(("*",), 2))
    chosen = recipe(4, stages=stages, schedule=OneCycle(), early_stopping=EarlyStopping(4))
    state = tmp_path / "x.part"
    with pytest.raises(Stop):
        fit(network(), small, chosen, sparsity=StopsAfter(done), state=state)
    resumed, straight = network(), network()
    ours = fit(resumed, small, chosen, sparsity=Spy(), state=state)
    theirs = fit(straight, small, chosen, sparsity=Spy())
    assert weights(resumed) == weights(straight) and ours.history == theirs.history
    again = network()
    assert fit(again, small, chosen, sparsity=Spy(), state=state).history == ours.history, "a whole one is not trained"
    assert weights(again) == weights(straight)


@pytest.mark.parametrize("difference", ["recipe", "seed", "weights", "garbage"])
def test_what_another_training_left_is_told_and_not_used(small: Dataset, tmp_path: Path, difference: str) -> None:
    state = tmp_path / "x.part"
    with pytest.raises(Stop):
        fit(network(), small, recipe(3), sparsity=StopsAfter(1), state=state)
    if difference == "garbage":
        state.write_bytes(state.read_bytes()[:500])
    model = network(widths=(8, 8, 8)) if difference == "weights" else network()
    chosen = recipe(3, label_smoothing=0.2) if difference == "recipe" else recipe(3)
    progress = Lines()
    done = fit(model, small, chosen, seed=int(difference == "seed"), sparsity=Spy(), state=state, progress=progress)
    assert any("different training" in line for line in progress.lines)
    assert done.epochs == 3 and done.cost.images == 3 * 320


def test_the_seeds_that_were_done_before_a_kill_are_kept(
    quick: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = training.fit, []

    def fit_twice_only(*arguments: Any, **options: Any) -> Training:
        seen.append(options["seed"])
        if len(seen) == 2:
            raise Stop
        return real(*arguments, **options)

    monkeypatch.setattr(training, "fit", fit_twice_only)
    with pytest.raises(Stop):
        train_seeds("mlp-small", seeds=range(3), epochs=1, out=tmp_path)
    made = train_seeds("mlp-small", seeds=range(3), epochs=1, out=tmp_path)
    assert seen == [0, 1, 1, 2]
    assert [one.path.stem for one in made] == ["mlp-small-seed0", "mlp-small-seed1", "mlp-small-seed2"]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    command = cli_command(
        "train", "ultralight", "--epochs", "200", "--dataset", "fashion-mnist-mini@320", "--out", tmp_path
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
    while not (tmp_path / "ultralight.part").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to continue" in told
    assert (tmp_path / "ultralight.part").exists()


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_told_to_end_leaves_what_it_goes_on_from(ends: signal.Signals, tmp_path: Path) -> None:
    command = cli_command(
        "train", "ultralight", "--epochs", "200", "--dataset", "fashion-mnist-mini@320", "--out", tmp_path / "out"
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out/ultralight.part").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(ends)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ends and "Traceback" not in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ultralight.part"]
