"""Weights in the files that people have: wrapped, renamed, averaged as well, and with code that is never run."""

from __future__ import annotations

import argparse
import collections
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebench.errors import BadFile

torch = pytest.importorskip("torch")

from edgebench.networks.own_network import weight_files  # noqa: E402

nn = torch.nn


def network() -> Any:
    return nn.Sequential(
        collections.OrderedDict(
            conv=nn.Conv2d(1, 4, 3, padding=1),
            norm=nn.BatchNorm2d(4),
            blocks=nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(4, 3),
        )
    ).eval()


def trained() -> Any:
    torch.manual_seed(1)
    made = network()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def named(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in state.items()}


def other(state: dict[str, Any]) -> dict[str, Any]:
    """Averaged weights, say."""
    return {name: tensor * 0 for name, tensor in state.items()}


OPTIMISER = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}

# What people's files hold, made of a state dict; and what is said.
FORMS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "plain": (lambda s: s, ""),
    "ordered": (lambda s: collections.OrderedDict(s), ""),
    "state_dict": (lambda s: {"epoch": 3, "state_dict": s, "optimizer": OPTIMISER}, "taken from 'state_dict'"),
    "model": (lambda s: {"model": s, "optimizer": OPTIMISER, "epoch": 3}, "taken from 'model'"),
    "model_state_dict": (lambda s: {"model_state_dict": s, "loss": 0.1}, "taken from 'model_state_dict'"),
    "net": (lambda s: {"net": s, "acc": 93.1}, "taken from 'net'"),
    "params": (lambda s: {"params": s}, "taken from 'params'"),
    "ema_state_dict": (lambda s: {"ema_state_dict": s}, "taken from 'ema_state_dict'"),
    "under another name": (lambda s: {"generator": s, "step": 7}, "taken from 'generator'"),
    "twice wrapped": (lambda s: {"model": {"state_dict": s, "arch": "x"}}, "taken from 'model.state_dict'"),
    "module.": (lambda s: named("module.", s), "'module.' cut off"),
    "model.": (lambda s: named("model.", s), "'model.' cut off"),
    "_orig_mod.": (lambda s: named("_orig_mod.", s), "'_orig_mod.' cut off"),
    "module._orig_mod.": (lambda s: named("module._orig_mod.", s), "'module._orig_mod.' cut off"),
    "_orig_mod.module.": (lambda s: named("_orig_mod.module.", s), "'_orig_mod.module.' cut off"),
    "compiled inside": (
        lambda s: {name.replace("blocks.", "blocks._orig_mod."): one for name, one in s.items()},
        "'_orig_mod.' cut off",
    ),
    "lightning": (
        lambda s: {
            "epoch": 3,
            "global_step": 100,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": {**named("model.", s), "criterion.weight": torch.ones(3)},
            "loops": {},
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
            "optimizer_states": [OPTIMISER],
            "hyper_parameters": {"lr": 0.1},
        },
        "taken from 'state_dict', 'model.' cut off the names, one tensor of another name left out",
    ),
    "compiled lightning": (lambda s: {"state_dict": named("net._orig_mod.", s)}, "'net._orig_mod.' cut off"),
    "with options": (lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, data="x")}, "taken from 'model'"),
    "best as a tensor": (lambda s: {"state_dict": s, "best_acc1": torch.tensor(93.0)}, "taken from 'state_dict'"),
    "student and teacher": (
        lambda s: {**named("student.", s), **named("teacher.", other(s))},
        "'student.' cut off the names",
    ),
    "profiled": (lambda s: {**s, "conv.total_ops": torch.zeros(1), "total_params": torch.zeros(1)}, ""),
    "before counters": (lambda s: {k: v for k, v in s.items() if "num_batches" not in k}, ""),
}


@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_and_it_is_said_where(form: str, suffix: str, tmp_path: Path) -> None:
    wrap, words = FORMS[form]
    wanted = trained()
    path = tmp_path / f"best{suffix}"
    torch.save(wrap(wanted.state_dict()), path)
    made = network()
    said = weight_files.fill(made, path)
    image = torch.rand(2, 1, 8, 8)
    assert torch.equal(made(image), wanted(image))
    assert words in said and bool(words) == bool(said)


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
def test_safetensors_too(prefix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "best.safetensors"
    save_file(named(prefix, trained().state_dict()), path)
    made = network()
    assert (f"'{prefix}' cut off" in weight_files.fill(made, path)) == bool(prefix)
    assert torch.equal(made.conv.weight, trained().conv.weight)


def test_a_network_that_is_wrapped_itself_takes_plain_weights(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save(trained().state_dict(), path)
    made = nn.Sequential(collections.OrderedDict(_orig_mod=network()))
    weight_files.fill(made, path)
    assert torch.equal(made._orig_mod.conv.weight, trained().conv.weight)


def test_of_several_weights_the_networks_own_are_taken_and_others_can_be_named(tmp_path: Path) -> None:
    path, state = tmp_path / "best.pt", trained().state_dict()
    torch.save({"ema": other(state), "model": state, "epoch": 1}, path)
    made = network()
    assert weight_files.fill(made, path) == "taken from 'model' (there is 'ema' as well: --weights best.pt:ema)"
    assert torch.equal(made.conv.weight, state["conv.weight"])
    assert "taken from 'ema' (there is 'model' as well" in weight_files.fill(made, path, "ema")
    assert not made.conv.weight.any()
    with pytest.raises(BadFile, match="no weights under that key. Choose from: 'ema', 'model'"):
        weight_files.fill(made, path, "emma")


# ------------------------------------------------------------------ what is refused


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda s: {"model": s, "extra": Payload()}, "it contains code, which is never run (posix.mkdir)"),
        (lambda s: trained(), "it contains code, which is never run (torch.nn.modules.container.Sequential)"),
        (lambda s: {k: v for k, v in s.items() if k != "head.bias"}, "it has no 'head.bias'"),
        (lambda s: {**s, "heads.bias": s["head.bias"]}, "the network has no 'heads.bias'"),
        (
            lambda s: {k.replace("head.", "fc."): v for k, v in s.items()},
            "it has no 'head.weight' (nearest: 'fc.weight'), 'head.bias' (nearest: 'fc.bias'); the network has no "
            "'fc.weight' (nearest: 'head.weight'), 'fc.bias' (nearest: 'head.bias')",
        ),
        (lambda s: {**s, "head.weight": torch.zeros(10, 4)}, "'head.weight' is [10, 4], not [3, 4]"),
        (
            lambda s: {k: torch.zeros(7, 7) for k in s},
            "'conv.bias' is [7, 7], not [4], 'norm.weight' is [7, 7], not [4] and 8 more",
        ),
        (
            lambda s: {"model": {f"module.{k}": v for k, v in s.items() if k != "head.bias"}},
            "it has no 'head.bias'",
        ),
        (lambda s: {"epoch": 3, "args": {"lr": 1}}, "it contains no named tensors, only 'epoch', 'args'"),
        (lambda s: 7, "it contains no named tensors"),
        (lambda s: {}, "it contains no named tensors"),
    ],
    ids=[
        "code",
        "module",
        "missing",
        "unexpected",
        "renamed",
        "classes",
        "shapes",
        "missing-inside",
        "nothing",
        "number",
        "empty",
    ],
)
def test_what_does_not_fit_is_told(wrong: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "best.pt"
    torch.save(wrong(trained().state_dict()), path)
    with pytest.raises(BadFile) as told:
        weight_files.fill(network(), path)
    assert words in told.value.seen
    assert not Path("ran").exists() and "Traceback" not in str(told.value)


def test_an_archive_of_torchscript_is_told_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(trained(), torch.rand(1, 1, 8, 8)).save(str(path))
    with pytest.raises(BadFile, match="TorchScript archive.*torch.jit.load"):
        weight_files.fill(network(), path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"<html>", bytes(1000)])
@pytest.mark.parametrize("name", ["best.pt", "best.safetensors"])
def test_other_files_are_told(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile):
        weight_files.fill(network(), tmp_path / name)
