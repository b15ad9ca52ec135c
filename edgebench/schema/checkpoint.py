"""Checkpoint: weights and what they are, in one .safetensors file.

The file is plain safetensors (https://github.com/huggingface/safetensors) with two metadata entries:

    edgebench   the `Metadata` below, as JSON
    digest      sha256 of the whole file, computed while the 64 digits of this entry were zeros

so every byte is covered, including the header and its padding, and any safetensors reader can open it. Nothing in it
is ever unpickled. Reading the metadata needs neither torch nor safetensors.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from edgebench import __version__
from edgebench.errors import BadFile, UserError
from edgebench.files import output, untrusted
from edgebench.schema.history import Metrics, PruningStep, Size, Training
from edgebench.schema.limits import Count, Text
from edgebench.schema.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

SCHEMA_VERSION = 4
# 1  2026-11  first
# 2  2026-11  `training` holds every training in full; before, `recipe` held only the choices of the last one
# 3  2026-11  preprocessing.geometry; data sets of the user's own
# 4  2026-11  networks of the user's own: `model` may be package.module:callable; weights, reshaped

FOLDER = Path("checkpoints")
SUFFIX = ".safetensors"

_UNSET = "0" * 64
_DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')
ADVICE = "Make it again with `edgebench train` or `edgebench prune`, or use another copy"
_KIND = untrusted.Kind("a checkpoint of edgebench", SCHEMA_VERSION, ADVICE, 2**36)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


_Side = Annotated[int, msgspec.Meta(ge=1, le=2**16)]


class WeightsOrigin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that a network's weights came from. sha256: of all of it. key: where in it they were. url: where it was
    published. note: how they were found, and what was left out or replaced, in words.
    """

    file: Text
    sha256: Text
    key: Text = ""
    url: Text = ""
    note: str = ""


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Description of the weights. metrics: on the whole official test split. training, pruning: oldest first.

    model: a name of `networks.models`, or `package.module:callable`. weights: before any training here; None for
    random ones and for those that the callable comes with. reshaped: see `networks.own_network.reshaped`.
    """

    model: str
    dataset: str
    input_shape: tuple[_Side, _Side, _Side]
    class_names: tuple[Text, ...]
    preprocessing: Preprocessing
    size: Size
    metrics: Metrics
    arguments: dict[str, Any] = {}
    weights: WeightsOrigin | None = None
    reshaped: dict[str, dict[str, Any]] = {}
    training: tuple[Training, ...] = ()
    pruning: tuple[PruningStep, ...] = ()
    created: str = msgspec.field(default_factory=now)
    edgebench: Text = __version__
    schema_version: Count = SCHEMA_VERSION

    @property
    def seed(self) -> int:
        """The seed of the last training, which later steps reuse."""
        return self.training[-1].seed if self.training else 0

    @property
    def has_zeros(self) -> bool:
        """Whether weights were set to zero and have to stay zero."""
        return any(step.form == "baked" for step in self.pruning)


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    digest: str
    about: Metadata

    @property
    def name(self) -> str:
        return self.path.stem

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights, on the CPU. Raises BadFile if the file changed since it was opened."""
        import safetensors.torch
        from safetensors import SafetensorError

        raw, digest = _read(self.path)
        if digest != self.digest:
            raise BadFile(str(self.path), "it changed while in use", "Run the command again")
        try:
            tensors = safetensors.torch.load(raw)
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            seen = f"its tensors are not laid out as its header says ({untrusted.shortened(error)})"
            raise BadFile(str(self.path), seen, ADVICE) from error
        # Clones: the loaded tensors share memory with `raw`, which is read-only.
        return {name: tensor.clone() for name, tensor in tensors.items()}


def save(model: nn.Module, about: Metadata, path: Path) -> Checkpoint:
    """Write the whole new file, or leave `path` as it was. Raises UserError if it cannot be written."""
    import safetensors.torch

    tensors = _apart(model)
    metadata = {"edgebench": msgspec.json.encode(about).decode(), "digest": _UNSET}
    raw = bytearray(safetensors.torch.save(tensors, metadata))
    digest = hashlib.sha256(raw).hexdigest()
    start = _digest_position(raw, path)
    raw[start : start + 64] = digest.encode()

    output.make_folder(path.parent)
    output.write(path, raw)
    return Checkpoint(path, digest, about)


def _apart(model: nn.Module) -> dict[str, torch.Tensor]:
    """Its state dict, each tensor with memory of its own: layers may share weights, files of tensors cannot."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    held = set()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            raise UserError(
                f"{type(model).__name__} '{name}'",
                f"its state is a {type(tensor).__name__}, and a checkpoint holds tensors only",
                "Keep it out of the state_dict of the network",
            )
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if place in held else own
        held.add(place)
    return tensors


def load(path: Path) -> Checkpoint:
    """Open a checkpoint and verify all of it. Raises BadFile for other or modified files."""
    raw, digest = _read(path)
    header = _header(raw, path)
    metadata = header.get("__metadata__")
    text = metadata.get("edgebench") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise BadFile(str(path), f"it is not {_KIND.name} (its header does not describe the weights)", ADVICE)
    return Checkpoint(path, digest, untrusted.decode(text.encode(), str(path), _KIND, Metadata, _upgrade))


def _upgrade(known: dict[str, Any]) -> dict[str, Any]:
    """Metadata of any older schema -> the current one."""
    if known.get("schema_version") == 1:
        recipe = known.pop("recipe")
        split = recipe.pop("split_sha256", "")
        known["training"] = [{"recipe": recipe, "seed": recipe.pop("seed", 0), "split_sha256": split}]
        known["schema_version"] = 2
    if known.get("schema_version") == 2:
        known["schema_version"] = 3
    if known.get("schema_version") == 3:
        known["schema_version"] = 4
    return known


def newest(folder: Path = FOLDER) -> Path:
    """The checkpoint that was written last."""
    found = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UserError(str(folder), "it contains no checkpoint", "Make one with `edgebench train ultralight`")
    return found[-1]


def new_path(name: str, out: Path | None) -> Path:
    """The path for a new checkpoint; raises UserError before the training, not after it, if it cannot be written.

    out: a file to write (ends in .safetensors; replaced if it exists), or a folder, or None for `checkpoints/`. In a
    folder nothing is replaced: `name` gets a number if it is taken.
    """
    if out == output.STDOUT:
        raise UserError(
            str(out), "a checkpoint is read again later, so it must be a file", f"Give a name that ends in {SUFFIX}"
        )
    if out is not None and out.suffix == SUFFIX:
        path = out
        if path.exists() and not path.is_dir() and not path.is_file():
            raise UserError(str(path), "it is not a file, and a checkpoint is read again later", "Give another path")
    else:
        folder = FOLDER if out is None else out
        path = folder / f"{name}{SUFFIX}"
        number = 2
        while path.exists():
            path = folder / f"{name}-{number}{SUFFIX}"
            number += 1
    output.make_folder(path.parent)
    output.check(path)
    return path


def _read(path: Path) -> tuple[bytes, str]:
    """The file's bytes and its digest, verified."""
    raw = untrusted.read(path, _KIND)
    return raw, verified_digest(raw, path)


def verified_digest(raw: bytes, path: Path) -> str:
    """The digest in a checkpoint's bytes. Raises BadFile, which names `path`, if it does not match."""
    _header(raw, path)
    start = _digest_position(raw, path)
    claimed = raw[start : start + 64].decode()
    digest = hashlib.sha256(raw[:start])
    digest.update(_UNSET.encode())
    digest.update(raw[start + 64 :])
    if digest.hexdigest() != claimed:
        raise BadFile(str(path), "its content was changed or damaged after it was written", ADVICE)
    return claimed


def _header(raw: bytes | bytearray, path: Path) -> dict[str, Any]:
    size = int.from_bytes(raw[:8], "little")
    try:
        header = msgspec.json.decode(raw[8 : 8 + size], type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadFile(str(path), "it is not a safetensors file, or its header is damaged", ADVICE) from error
    return header


def _digest_position(raw: bytes | bytearray, path: Path) -> int:
    """Position of the 64 digits. Quotes inside the metadata's JSON are escaped, so the pattern cannot occur there."""
    size = int.from_bytes(raw[:8], "little")
    found = list(_DIGEST.finditer(raw, 8, min(8 + size, len(raw))))
    if len(found) != 1:
        raise BadFile(str(path), "it is not a checkpoint of edgebench: it contains no digest", ADVICE)
    return found[0].start(1)
