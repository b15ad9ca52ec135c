"""A .param file of ncnn: text, a layer a line. The weights lie beside it, in a .bin file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = "7767517"
# Layers that change only the shape of what goes through them.
_SAME_NUMBERS = ("Split", "Reshape", "Flatten", "Squeeze", "ExpandDims", "Permute", "Noop", "Slice", "Crop")


class ParamLine:
    """bottoms, tops: the blobs that it reads and makes. settings: {number: value}, of which each kind has its own."""

    def __init__(self, kind: str, name: str, bottoms: list[str], tops: list[str], settings: dict[str, str]) -> None:
        self.kind = kind
        self.name = name
        self.bottoms = bottoms
        self.tops = tops
        self.settings = settings


def layers(text: str) -> list[ParamLine]:
    """Raises ValueError, with the line that is not one of a layer."""
    lines = text.split("\n")
    if lines[0].strip() != MAGIC:
        raise ValueError("it does not begin with %s, as .param files of ncnn do" % MAGIC)
    counts = lines[1].split() if len(lines) > 1 else []
    found = []
    for number, line in enumerate(lines[2:], 3):
        words = line.split()
        if not words:
            continue
        try:
            inputs, outputs = int(words[2]), int(words[3])
            blobs, settings = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
            pairs = dict(one.split("=", 1) for one in settings)
        except (IndexError, ValueError):
            raise ValueError("line %d is not one of a layer: %r" % (number, line[:80])) from None
        if inputs < 0 or outputs < 0 or len(blobs) != inputs + outputs:
            raise ValueError("line %d names fewer blobs than it announces: %r" % (number, line[:80]))
        found.append(ParamLine(words[0], words[1], blobs[:inputs], blobs[inputs:], pairs))
    if not found or not counts or counts[0] != str(len(found)):
        raise ValueError("it announces %s layers and has %d" % (counts[0] if counts else "no", len(found)))
    return found


def inputs(network: Sequence[ParamLine]) -> list[tuple[str, list[int] | None, str]]:
    """(name, shape, dtype) in their order. shape: with the batch of 1 that ncnn leaves out; None: the file has none."""
    return [
        (name, _shape(layer.settings), "int32" if _is_looked_up(name, network) else "float32")
        for layer in network
        if layer.kind == "Input"
        for name in layer.tops
    ]


def outputs(network: Sequence[ParamLine]) -> list[str]:
    """What no layer reads, in the order in which it is made."""
    read = {name for layer in network for name in layer.bottoms}
    return [name for layer in network for name in layer.tops if name not in read]


def _shape(settings: dict[str, str]) -> list[int] | None:
    """Width, height, depth and channels are numbers 0, 1, 11 and 2."""
    try:
        sizes = [int(settings.get(key, "0")) for key in ("2", "11", "1", "0")]
    except ValueError:
        return None
    known = [size for size in sizes if size > 0]
    return [1, *known] if known else None


def _is_looked_up(name: str, network: Sequence[ParamLine]) -> bool:
    """Whether an input is rows of a table, whole numbers, which ncnn's Embed reads as such."""
    same = {name}
    for layer in network:
        if same.isdisjoint(layer.bottoms):
            continue
        if layer.kind == "Embed":
            return True
        if layer.kind in _SAME_NUMBERS:
            same.update(layer.tops)
    return False
