"""Study files: what is wrong in them, the matrix that they stand for, and their exact numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from edgebench import cli
from edgebench.errors import BadFile, UnknownName
from edgebench.networks import models, training
from edgebench.networks.training.loop import refuse_what_has_no_effect
from edgebench.studies.study import exact, file_checks, matrix
from edgebench.studies.study.file import Exact
from tests.support.studies import TINY, changed, expand, write

torch = pytest.importorskip("torch")

SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write(tmp_path / "tiny.yaml", TINY)


def claiming(**keys: Any) -> dict[str, Any]:
    """TINY with another claim, about `dense`."""
    return {**TINY, "claims": [{"says": "x", "part": "mlp", "of": {"variant": "dense"}, "at_least": 0.5, **keys}]}


def exactly(**keys: Any) -> dict[str, Any]:
    one = {"model": "mlp-small", "input": "1x28x28", "classes": 10, "expect": {"parameters": 13002}}
    return {**TINY, "exact": [{**one, **keys}]}


def one_variant(**keys: Any) -> dict[str, Any]:
    return changed(variants={"x": keys}, subset={})


# ------------------------------------------------------------------ the file


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_loads_and_expands(path: Path) -> None:
    study = file_checks.load(path)
    whole, subset = matrix.expand(matrix.parts(study)), matrix.expand(matrix.parts(study, subset=True))
    assert len(subset.steps) < len(whole.steps)
    assert {cell.part for cell in whole.cells} == set(study.parts)
    assert study.exact and study.claims and study.figures


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_recipe_of_a_shipped_study_asks_for_what_its_network_lacks(path: Path) -> None:
    steps = [step for step in expand(path).steps.values() if step.kind == "train"]
    for model, arguments, choices, has_teacher in {
        (step.model, json.dumps(step.arguments), json.dumps(step.choices), step.has_teacher): None for step in steps
    }:
        with torch.device("meta"):
            network = models.build(model, (3, 32, 32), 10, **json.loads(arguments))
        recipe = msgspec.convert(json.loads(choices), training.Recipe)
        refuse_what_has_no_effect(network, recipe, network if has_teacher else None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (changed(modles=["mlp-small"]), r"unknown field `modles`.*parts.*Did you mean 'models'"),
        (changed(models=["mlp-smal"]), "part 'mlp': model: there is no 'mlp-smal'.*Did you mean 'mlp-small'"),
        (changed(models=[]), "models: neither the part nor"),
        (changed(models=["mlp-small", "mlp-small"]), "models: one of .* is listed twice"),
        (changed(datasets=["mnits"]), "data set: there is no 'mnits'.*Did you mean 'mnist'"),
        (changed(datasets=["mnist@10k"]), "'mnist@10k' is not a part of one. Write NAME@TRAIN"),
        (changed(datasets=["mnist", "mnist"]), "datasets: one of mnist, mnist is listed twice"),
        (changed(recipe="defalt"), "recipe: there is no 'defalt'.*Did you mean 'default'"),
        (changed(recipe="dual-unfreeze"), "--epochs: each stage of recipe 'dual-unfreeze' has its own"),
        (changed(seeds=0), r"Expected `int` >= 1.*parts.*seeds"),
        (one_variant(before={"method": "l1"}), "pruning method: there is no 'l1'"),
        (one_variant(before={"method": "l1-global", "ratio": 1.5}), "--ratio: 1.5 is not between 0 and 1"),
        (one_variant(before={"method": "channels"}), "before: 'channels' removes parts.*Name it in `after`"),
        (one_variant(after=[{"prune": {"method": "channels", "options": {"criterium": "l1"}}}]),
         "Did you mean 'criterion'"),
        (one_variant(teacher="y"), "variant: there is no 'y'"),
        (one_variant(teacher="x"), "variant: 'x' depends on itself"),
        (changed(variants={"a": {"branches": ["b"]}, "b": {"teacher": "a"}}, subset={}), "itself .a <- b <- a"),
        (changed(variants={"a": {"teacher": "b"}, "b": {}}, subset={"variants": ["a"]}), "variant: there is no 'b'"),
        (one_variant(choices={"epoch": 3}), "Did you mean 'epochs'"),
        (changed(subset={"variants": ["dens"]}), "variant of the subset: there is no 'dens'"),
        (changed(subset={"models": ["mlp-smal"]}), "Did you mean 'mlp-small'"),
        (changed(formats=["onnx-fp31"]), "export format: there is no 'onnx-fp31'"),
        (changed(packing=["bitmsk"]), "packing format: there is no 'bitmsk'"),
        ({**TINY, "figures": ["tabel"]}, "there is no 'tabel'.*Did you mean 'table'"),
        (claiming(of={"variant": "dens"}), "claim 'x': variant: there is no 'dens'.*Did you mean 'dense'"),
        (claiming(part="mpl"), "part: there is no 'mpl'"),
        (claiming(metric="acuracy"), "Did you mean 'accuracy'"),
        (claiming(at_least=None), "claim 'x': bounds: missing"),
        (claiming(of=None), "claim 'x': of: missing"),
        (claiming(metric="latency_ratio"), "a latency ratio has two sides"),
        (exactly(model="mlp-smal"), "exact numbers of 'mlp-smal': model: there is no"),
        (exactly(input="28x28"), "'28x28' is not an input shape"),
        (exactly(expect={"parmeters": 1}), "exact number: there is no 'parmeters'.*Did you mean 'parameters'"),
        (exactly(prune={"method": "l1-globl"}), "Did you mean 'l1-global'"),
        (["no", "study"], "Expected `object`"),
        ("text", "Expected `object`"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_before_anything_is_trained(tmp_path: Path, content: Any, told: str) -> None:
    path = write(tmp_path / "wrong.yaml", content)
    with pytest.raises((BadFile, UnknownName), match=f"(?s)wrong.yaml.*{told}"):
        file_checks.load(path)


def test_no_file_and_no_yaml(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(BadFile, match="cannot be read"):
            file_checks.load(path)
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    with pytest.raises(BadFile, match="not YAML"):
        file_checks.load(tmp_path / "broken.yaml")


# ------------------------------------------------------------------ the matrix


def test_variants_share_what_they_begin_with(tiny: Path) -> None:
    expanded = expand(tiny)
    kinds = [step.kind for step in expanded.steps.values()]
    # Per seed: dense and pruned-before trainings; control and half begin with dense.
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"train": 4, "change": 4, "read": 8}
    assert len(expanded.cells) == 8
    order = list(expanded.steps)
    assert all(
        order.index(parent) < order.index(key) for key, step in expanded.steps.items() for parent in step.parents
    )


def test_a_step_is_what_goes_into_it(tmp_path: Path) -> None:
    def keys(content: Any) -> set[str]:
        return set(expand(write(tmp_path / "s.yaml", content)).steps)

    base = keys(TINY)
    assert keys(changed(about="said otherwise", formats=["onnx-fp32"])) == base
    assert not keys(changed(epochs=3)) & base
    assert not keys(changed(datasets=["fashion-mnist-mini@400,200"])) & base
    assert base < keys(changed(seeds=3))


def test_the_subset_replaces_what_it_names(tiny: Path) -> None:
    expanded = expand(tiny, subset=True)
    assert [cell.label for cell in expanded.cells] == [
        "mlp-small fashion-mnist-mini@200,100 dense",
        "mlp-small fashion-mnist-mini@200,100 half",
    ]
    assert {step.epochs for step in expanded.steps.values() if step.kind == "train"} == {1}


def test_only_some_parts(tmp_path: Path) -> None:
    parts = {"a": TINY["parts"]["mlp"], "b": {**TINY["parts"]["mlp"], "epochs": 3}}
    path = write(tmp_path / "two.yaml", {**TINY, "parts": parts, "claims": []})
    assert expand(path, only=("b",)).steps.keys() < expand(path).steps.keys()
    assert {cell.part for cell in expand(path, only=("b",)).cells} == {"b"}


# ------------------------------------------------------------------ exact numbers


LARGE = ("approx-compression", "plos-mlp")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem in LARGE else [], id=path.stem) for path in SHIPPED],
)
def test_every_exact_number_of_the_studies_comes_out(path: Path) -> None:
    checked = [one for entry in file_checks.load(path).exact for one in exact.check(entry)]
    assert [(one.what, one.expected) for one in checked] == [(one.what, one.seen) for one in checked]
    assert len({one.what for one in checked}) == len(checked)


@pytest.mark.parametrize("name", exact.QUANTITIES)
def test_every_quantity_can_be_computed(name: str) -> None:
    (checked,) = exact.check(Exact("ultralight", "1x28x28", 10, {name: -1}))
    assert checked.seen > 0 or name in ("zeros", "effective_sparsity_percent", "dead")
    assert not checked.holds


# ------------------------------------------------------------------ the commands


def typed(*arguments: str | Path) -> Result:
    """In this process, so that torch is imported once."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, ["study", *map(str, arguments)])


@pytest.mark.parametrize("subset", [[], ["--subset"]], ids=["whole", "subset"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_is_listed_within_80_columns(path: Path, subset: list[str]) -> None:
    listed = typed("list", path, *subset)
    assert listed.exit_code == 0, listed.output
    assert all(name in listed.output for name in file_checks.load(path).parts)
    assert max(map(len, listed.output.splitlines())) <= 80


def test_exact_numbers_are_printed_within_80_columns(tmp_path: Path) -> None:
    long = exactly(prune={"method": "l1-uniform", "ratio": 0.5}, expect={"effective_sparsity_percent": 50.0})
    shown = typed("exact", write(tmp_path / "long.yaml", long))
    assert shown.exit_code == 0, shown.output
    assert "effective_sparsity_percent" in shown.output and "50.0" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


def test_a_number_that_differs_is_shown_and_ends_with_1(tmp_path: Path) -> None:
    shown = typed("exact", write(tmp_path / "wrong.yaml", exactly(expect={"parameters": 13003, "weights": 12960})))
    assert shown.exit_code == 1
    assert "13,003" in shown.output and "13,002" in shown.output and "1 of 2 differ" in shown.output
