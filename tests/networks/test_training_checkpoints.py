"""`train`, from a name and its options to a checkpoint: seeds, branches, teachers, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench.errors import UserError
from edgebench.networks import training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.training.recipes import Stage
from edgebench.schema import checkpoint
from edgebench.schema.preprocessing import Preprocessing
from edgebench.train import TrainOptions, spread, train, train_seeds
from tests.conftest import run_cli
from tests.support.trainings import Lines, recipe, weights
from tests.support.trainings import on_the_processor as on_the_processor
from tests.support.trainings import quick as quick
from tests.support.trainings import small as small

torch = pytest.importorskip("torch")


def test_several_seeds_and_their_spread(quick: Dataset, tmp_path: Path) -> None:
    progress = Lines()
    made = train_seeds("mlp-small", seeds=range(3, 5), epochs=1, out=tmp_path, progress=progress)
    assert [one.path.name for one in made] == ["mlp-small-seed3.safetensors", "mlp-small-seed4.safetensors"]
    assert [one.about.training[0].seed for one in made] == [3, 4]
    assert weights(made[0]) != weights(made[1])
    assert weights(made[0]) == weights(train("mlp-small", seed=3, epochs=1, out=tmp_path / "x.safetensors"))
    assert progress.lines[-1].startswith("mlp-small, 2 seeds: test accuracy")
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []
    with pytest.raises(UserError, match="Name a folder"):
        train_seeds("mlp-small", seeds=range(2), out=tmp_path / "one.safetensors")


def test_spread_is_mean_and_standard_deviation() -> None:
    text = "test accuracy 80.00%, standard deviation 10.00 points (70.00% to 90.00%)"
    assert spread([0.7, 0.8, 0.9]) == text
    assert spread([0.5]) == "test accuracy 50.00% (50.00% to 50.00%)"


def test_branches_are_taken_over(quick: Dataset, tmp_path: Path) -> None:
    sources = [
        train(
            "dual-cnn", options=TrainOptions({"branches": 1}), epochs=1, seed=seed, out=tmp_path / f"{seed}.safetensors"
        )
        for seed in (0, 1)
    ]
    paths = [source.path for source in sources]
    stage = (Stage(("classifier.*",), 1),)
    made = train(
        "dual-cnn",
        recipe=recipe(1, stages=stage),
        options=TrainOptions(branches_from=paths),
        out=tmp_path / "dual.safetensors",
    )
    tensors = made.tensors()
    for branch, source in enumerate(sources):
        for name, tensor in source.tensors().items():
            if name.startswith("branches.0."):
                assert torch.equal(tensors[name.replace("branches.0.", f"branches.{branch}.")], tensor)
    assert made.about.training[0].parent == "+".join(source.digest for source in sources)
    with pytest.raises(UserError, match="1 checkpoints for a network of 2 branches"):
        train("dual-cnn", epochs=1, options=TrainOptions(branches_from=paths[:1]), out=tmp_path)


def test_a_teacher_is_a_checkpoint(quick: Dataset, tmp_path: Path) -> None:
    teacher = train("ultralight", epochs=1, out=tmp_path)
    student = train("mlp-small", recipe="distil", epochs=1, options=TrainOptions(teacher=teacher.path), out=tmp_path)
    assert student.about.training[0].recipe["distil"]["teacher"] == teacher.digest


def test_a_teacher_of_other_classes_or_images_is_refused(quick: Dataset, tmp_path: Path) -> None:
    teacher = train("ultralight", epochs=1, out=tmp_path)
    others = msgspec.structs.replace(teacher.about, class_names=tuple("0123456789"))
    stranger = checkpoint.save(rebuild(teacher), others, tmp_path / "stranger.safetensors")
    with pytest.raises(UserError, match="different classes from 'fashion-mnist-mini'"):
        train("mlp-small", recipe="distil", options=TrainOptions(teacher=stranger.path), out=tmp_path)
    darker = msgspec.structs.replace(teacher.about, preprocessing=Preprocessing((0.1,), (0.3,)))
    stranger = checkpoint.save(rebuild(teacher), darker, tmp_path / "stranger.safetensors")
    with pytest.raises(UserError, match="different preprocessing"):
        train("mlp-small", recipe="distil", options=TrainOptions(teacher=stranger.path), out=tmp_path)


def test_normalisation_and_size_of_the_recipe_are_the_checkpoints(quick: Dataset, tmp_path: Path) -> None:
    chosen = recipe(1, resize=(32, 32), normalise=training.recipe("plos-mlp").normalise)
    made = train("ultralight", recipe=chosen, out=tmp_path)
    about = checkpoint.load(made.path).about
    assert about.input_shape == (1, 32, 32) and about.preprocessing == Preprocessing((0.5,), (0.5,), (32, 32))
    again = training.evaluate(rebuild(made), quick.test, about.preprocessing)
    assert again.accuracy == about.metrics.accuracy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs: 0 epochs train nothing"),
        ({"recipe": "dual-unfreeze", "epochs": 3}, "each stage of recipe 'dual-unfreeze' has its own"),
        ({"options": TrainOptions({"width": 3})}, "--argument of 'ultralight'"),
        ({"recipe": "plos-vgg16"}, "`normalise` is for 3 channels, 'fashion-mnist-mini' has 1"),
    ],
)
def test_bad_options_are_told_before_any_work(
    quick: Dataset, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        train("ultralight", out=tmp_path, **options)
    assert words in str(caught.value)
    assert not list(tmp_path.glob("*.safetensors"))


def test_images_too_small_for_a_network_are_told(quick: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"res-se: it cannot take images of 1x2x2 \("):
        train("res-se", recipe=recipe(resize=(2, 2)), out=tmp_path)


def test_the_command_line_names_what_is_wrong(tmp_path: Path) -> None:
    done = run_cli("train", "ultralight", "--recipe", "defalt", cwd=tmp_path)
    assert done.returncode == 1 and "Did you mean 'default'?" in done.stderr
