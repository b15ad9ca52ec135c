"""A .pte file, a flatbuffer, read without the weights in it. Fields by number, as in ExecuTorch's schema."""

from __future__ import annotations

import collections

from . import _xnnpack_graph
from ._flatbuffer import DAMAGE, Flatbuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

METHOD = "forward"
# By the numbers that torch's C++ has for its types.
DTYPES = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 11: "bool",
    15: "bfloat16",
}  # fmt: skip
_TENSOR = 5
_XNNPACK = "XnnpackBackend"
_SEGMENT = 1
_EXTENDED_HEADER = b"eh00"
_KERNEL, _DELEGATE = 1, 2


class ProgramPort:
    """What a program takes or answers: they are numbered, not named. Of open sizes the file has the largest."""

    def __init__(self, shape: list[int], dtype: str) -> None:
        self.shape = shape
        self.dtype = dtype


class PteFile:
    """The method `forward` of a program, or its only one.

    kernels: how often each operator is called that no backend takes; backends: how many parts of the network each
    takes; xnnpack: the layers of those that XNNPACK takes, none of what other versions wrote. Raises ValueError for
    anything but a program of ExecuTorch.
    """

    def __init__(self, content: bytes | memoryview | mmap.mmap) -> None:
        if bytes(content[4:6]) != b"ET":
            raise ValueError("not a program of ExecuTorch")
        self._content = content
        self._file = file = Flatbuffer(content)
        try:
            plans = {file.string(plan, 0): plan for plan in file.tables(file.root(), 1)}
            self.methods = list(plans)
            self.method = METHOD if METHOD in plans or not plans else self.methods[0]
            if len(plans) > 1 and METHOD not in plans or not plans:
                raise ValueError("it has no method '%s', only %s" % (METHOD, ", ".join(self.methods) or "nothing"))
            plan = plans[self.method]
            values = list(file.tables(plan, 2))
            self.inputs = [self._port(values[place]) for place in file.numbers(plan, 3)]
            self.outputs = [self._port(values[place]) for place in file.numbers(plan, 4)]
            self.kernels, self.backends = self._calls(plan)
            self.xnnpack = [layer for payload in self._payloads(plan) for layer in _layers(payload)]
        except DAMAGE:
            raise ValueError("not a program of ExecuTorch, or truncated") from None

    def _port(self, value: int) -> ProgramPort:
        file = self._file
        if file.number(value, 0, "<B") != _TENSOR:
            raise ValueError("it takes or answers something that is not a tensor")
        tensor = file.table(value, 1)
        dtype = file.number(tensor, 0, "<b")
        return ProgramPort(file.numbers(tensor, 2), DTYPES.get(dtype, "type %d" % dtype))

    def _calls(self, plan: int) -> tuple[dict[str, int], dict[str, int]]:
        file = self._file
        operators = [self._operator(one) for one in file.tables(plan, 6)]
        backends = [file.string(one, 0) for one in file.tables(plan, 7)]
        called: collections.Counter[str] = collections.Counter()
        taken: collections.Counter[str] = collections.Counter()
        for kind, place in self._instructions(plan):
            if kind == _KERNEL:
                called[operators[place]] += 1
            elif kind == _DELEGATE:
                taken[backends[place]] += 1
        return dict(called), dict(taken)

    def _payloads(self, plan: int) -> Iterator[bytes]:
        """What the file holds for XNNPACK, one for each of its parts: in the flatbuffer, or in a segment after it."""
        file, program = self._file, self._file.root()
        for delegate in file.tables(plan, 7):
            if file.string(delegate, 0) != _XNNPACK:
                continue
            place = file.table(delegate, 1)
            kind, index = file.number(place, 0, "<b"), file.number(place, 1, "<I")
            if kind == _SEGMENT:
                segment = list(file.tables(program, 4))[index]
                yield self._segment(file.number(segment, 0, "<Q"), file.number(segment, 1, "<Q"))
            else:
                yield file.bytes_of(list(file.tables(program, 3))[index], 0)

    def _segment(self, offset: int, size: int) -> bytes:
        if bytes(self._content[8:12]) != _EXTENDED_HEADER:
            raise IndexError
        start = self._file.unpack("<Q", 24) + offset
        if start + size > len(self._content):
            raise IndexError
        return bytes(self._content[start : start + size])

    def _operator(self, operator: int) -> str:
        name, overload = self._file.string(operator, 0), self._file.string(operator, 1)
        return "%s.%s" % (name, overload) if overload else name

    def _instructions(self, plan: int) -> Iterator[tuple[int, int]]:
        """(kind, number of what it calls)"""
        file = self._file
        for chain in file.tables(plan, 5):
            for instruction in file.tables(chain, 2):
                yield file.number(instruction, 0, "<B"), file.number(file.table(instruction, 1), 0, "<i")


def _layers(payload: bytes) -> list[_xnnpack_graph.XnnpackLayer]:
    try:
        return _xnnpack_graph.layers(payload)
    except ValueError:
        return []
