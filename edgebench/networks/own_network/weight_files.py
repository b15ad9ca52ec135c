"""A network's weights from the files people have: nested in a training checkpoint, with prefixed names.

    best.pt ─ weights only ─> {"epoch": 3, "model": {...}, "ema": {...}} ─ which ─> names ─ as the network's ─> network

The user is informed of what was taken and what was cut off the names. Nothing pickled in a file is ever run.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile

if TYPE_CHECKING:
    import torch
    from torch import nn

    Tensors = dict[str, torch.Tensor]

SAFE, PICKLED = (".safetensors",), (".pt", ".pth", ".bin", ".ckpt", ".tar")
# Names under which training scripts store the network's weights; the first that exists is taken. Averaged weights come
# last: they have to be asked for.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "weights", "module",
    "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema", "ema",
)  # fmt: skip
_DEPTH = 3
# Inserted between the parts of a name by compiling and sharding.
_INFIXES = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# Counters that outputs do not depend on: of normalisation in older checkpoints, and of a profiler.
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params")
_SHOWN = 3
# How many of the network's names are looked up, to find their prefix in the file.
_NAMES_TRIED = 8
_ONE_LEFT_OUT = "one tensor of another name left out"
# Other entries of a training checkpoint, whose tensors are not weights.
_NO_WEIGHTS = ("optim", "callbacks", "loops", "lr_sched", "scheduler", "scaler")
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def fill(module: nn.Module, path: Path, key: str = "", *, output: str = "") -> str:
    """Load the weights of a file into a network; returns what a user should know about how they were found, or "".

    key: where they are, if the file has several. output: the output layer, which is left as it is where the file's is
    for another number of classes. Raises BadFile for weights that are not this network's.
    """
    found = _found(_opened(path), path)
    chosen = _chosen(found, key, path)
    own = module.state_dict()
    named, cut = _renamed(found[chosen], own)
    note = _said(found, chosen, cut, len(found[chosen]) - len(named), path)
    left = _another_output(named, own, output)
    wrong = misfits(named, own, but=left)
    if wrong:
        raise BadFile(str(path), wrong, f"Give weights of this network with --weights{_others(found, chosen, path)}")
    put(module, {name: tensor for name, tensor in named.items() if name not in left})
    if left:
        theirs, ours = (len(tensors[f"{output}.weight"]) for tensors in (named, own))
        note += f"{', ' if note else ''}'{output}' keeps random weights: {theirs:,} classes in the file, {ours:,} here"
    return note


def tensors_of(path: Path) -> Tensors:
    """The weights that `fill` would take. Raises BadFile."""
    found = _found(_opened(path), path)
    return dict(found[_chosen(found, "", path)])


def put(module: nn.Module, tensors: Tensors) -> None:
    """Load those that the network has; the others of its tensors stay."""
    import torch

    own = module.state_dict()
    with torch.no_grad():
        module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in own}, strict=False)


def _another_output(named: Tensors, own: Mapping[str, Any], output: str) -> set[str]:
    """Names of the output layer's tensors, if the file's are for another number of classes."""
    weight = f"{output}.weight"
    if not output or weight not in named or weight not in own or named[weight].ndim != own[weight].ndim:
        return set()
    (theirs, *rest), (ours, *fitting) = named[weight].shape, own[weight].shape
    return {weight, f"{output}.bias"} if rest == fitting and theirs != ours else set()


# ------------------------------------------------------------------ the file


def named(given: Path) -> tuple[Path, str]:
    """`FILE` or `FILE:KEY`, the key under which the file holds the weights."""
    if given.is_file():
        return given, ""
    file, colon, key = str(given).rpartition(":")
    if colon and Path(file).is_file():
        return Path(file), key
    raise BadFile(str(given), "there is no such file", "Check --weights")


def _opened(path: Path) -> Any:
    if path.suffix in SAFE:
        import safetensors.torch

        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise BadFile(str(path), f"not a safetensors file ({error})", "Check --weights") from error
    return plain(path)


def plain(path: Path) -> Any:
    """Load tensors and plain containers; a pickle that refers to code is not opened."""
    import numpy as np
    import torch

    # Command-line options and numpy numbers: many trainings save these beside the weights.
    harmless: list[Any] = [
        argparse.Namespace,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
        np.dtypes.Int64DType,
    ]
    scalar: Any = np.float64(0).__reduce__()[0]
    try:
        with torch.serialization.safe_globals([*harmless, scalar, (scalar, "numpy.core.multiarray.scalar")]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile and torch raise their own
        raise BadFile(str(path), *_why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> tuple[str, str]:
    """What is wrong with a file that torch did not open, and what to do."""
    text = str(error)
    if "TorchScript" in text:
        saved = f"torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pt')"
        return (
            "it is a TorchScript archive, which contains code, and code is never run",
            f"Save only the weights: {saved}",
        )
    named = _GLOBAL.search(text)
    if named or "weights_only" in text.lower() and "unsupported" in text.lower():
        what = f" ({named[1]})" if named else ""
        return (
            f"it contains code, which is never run{what}",
            "If you trust it, open it with torch.load(FILE, weights_only=False) and save only the weights: "
            "torch.save(network.state_dict(), FILE)",
        )
    return (
        "not a file of plain tensors: damaged, or in another format",
        "Save it with torch.save(network.state_dict(), FILE), or as a .safetensors file",
    )


# ------------------------------------------------------------------ which weights


def _found(held: Any, path: Path) -> dict[str, Tensors]:
    """Everything in it that may be weights, by the keys that lead there; "" if the file holds nothing else."""
    found = dict(_walk(held, "", _DEPTH))
    if not found:
        held_by = f", only {_listed(held)}" if isinstance(held, Mapping) and held else ""
        raise BadFile(
            str(path),
            f"it contains no named tensors{held_by}",
            "Save it with torch.save(network.state_dict(), FILE)",
        )
    return found


def _walk(held: Any, at: str, depth: int) -> Iterator[tuple[str, Tensors]]:
    import torch

    if not isinstance(held, Mapping):
        return
    tensors = {name: one for name, one in held.items() if isinstance(name, str) and isinstance(one, torch.Tensor)}
    # Names of weights contain dots; other numbers of a training (`epoch`, `best`) may be tensors too.
    if any(one.ndim for one in tensors.values()) and (
        len(tensors) == len(held) or any("." in name for name in tensors)
    ):
        yield at, tensors
    elif depth:
        for key, inner in held.items():
            if isinstance(key, str) and not key.startswith(_NO_WEIGHTS):
                yield from _walk(inner, f"{at}.{key}" if at else key, depth - 1)


def _chosen(found: Mapping[str, Tensors], key: str, path: Path) -> str:
    if key:
        if key in found:
            return key
        raise BadFile(f"{path}:{key}", "there are no weights under that key", f"Choose from: {_listed(found)}")
    return min(found, key=_rank)


def _rank(keys: str) -> tuple[bool, int, int]:
    """Sort key: the network before its average, known names before others, then the order of `_WRAPPERS`."""
    parts = keys.split(".")
    is_average = any("ema" in part.split("_") for part in parts)
    known = [_WRAPPERS.index(part) if part in _WRAPPERS else len(_WRAPPERS) for part in parts if part]
    return is_average, max(known, default=-1), len(parts)


# ------------------------------------------------------------------ names


def _renamed(tensors: Tensors, own: Mapping[str, Any]) -> tuple[Tensors, str]:
    """The tensors under the network's own names, as far as possible, and the prefix that was cut off."""
    wanted = {_bare(name): name for name in own}
    best: tuple[int, Tensors, str] = (sum(name in own for name in tensors), tensors, "")
    if all(name in tensors or _is_counter(name) for name in own):
        return tensors, ""
    for prefix in _prefixes(tensors, wanted):
        inner = {_bare(name.removeprefix(prefix)): one for name, one in tensors.items() if name.startswith(prefix)}
        fitting = sum(name in inner for name in wanted)
        if fitting > best[0]:
            renamed = {wanted.get(name, name): one for name, one in inner.items()}
            best = fitting, renamed, prefix or _infix(tensors)
        if all(name in inner or _is_counter(name) for name in wanted):
            break
    return best[1:]


def _bare(name: str) -> str:
    for infix in _INFIXES:
        name = name.replace(infix, "")
    return name


def _infix(tensors: Iterable[str]) -> str:
    return next((infix for infix in _INFIXES if any(infix in name for name in tensors)), "")


def _prefixes(tensors: Tensors, wanted: Mapping[str, str]) -> list[str]:
    """The prefixes of some of the network's names in the file; those of averages last."""
    some = sorted((name for name in wanted if not _is_counter(name)), key=len)[-_NAMES_TRIED:]
    bare = {name: _bare(name) for name in tensors}
    fronts = {name[: -len(one)] for name in tensors for one in some if bare[name].endswith(one) and name.endswith(one)}
    whole = {front for front in fronts if front.endswith(".")}
    return sorted(whole | {""}, key=lambda front: ("ema" in front or "teacher" in front, len(front), front))


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


# ------------------------------------------------------------------ words


def misfits(named: Tensors, own: Mapping[str, Any], but: Container[str] = ()) -> str:
    """Names missing on either side, and shapes that differ; "" if everything fits. but: what is not looked at."""
    missing = [name for name in own if name not in named and name not in but and not _is_counter(name)]
    unknown = [name for name in named if name not in own and name not in but and not _is_counter(name)]
    unlike = [name for name in own if name in named and name not in but and own[name].shape != named[name].shape]
    parts = []
    if unlike:
        shapes = [f"'{name}' is {list(named[name].shape)}, not {list(own[name].shape)}" for name in unlike]
        parts.append(_some(shapes))
    if missing:
        parts.append(f"it has no {_some([_with_nearest(name, unknown) for name in missing])}")
    if unknown:
        parts.append(f"the network has no {_some([_with_nearest(name, missing) for name in unknown])}")
    return "; ".join(parts)


def _with_nearest(name: str, others: list[str]) -> str:
    near = difflib.get_close_matches(name, others[:200], n=1)
    return f"'{name}' (nearest: '{near[0]}')" if near else f"'{name}'"


def _some(words: list[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")


def _said(found: Mapping[str, Tensors], chosen: str, cut: str, left_out: int, path: Path) -> str:
    parts = [f"taken from '{chosen}'{_others(found, chosen, path)}"] if chosen else []
    if cut:
        parts.append(f"'{cut}' cut off the names")
    if cut and left_out:
        parts.append(f"{left_out} tensors of other names left out" if left_out > 1 else _ONE_LEFT_OUT)
    return ", ".join(parts)


def _others(found: Mapping[str, Tensors], chosen: str, path: Path) -> str:
    others = [name for name in sorted(found, key=_rank) if name != chosen]
    return f" (there is {_listed(others)} as well: --weights {path.name}:{others[0]})" if others else ""


def _listed(names: Iterable[object]) -> str:
    return _some([f"'{name}'" for name in names])
