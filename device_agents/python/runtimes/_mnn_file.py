"""A .mnn file, a flatbuffer, read without the weights in it. Fields by number, as in MNN's schema."""

from __future__ import annotations

from ._flatbuffer import DAMAGE, Flatbuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

# Of an operator's kind, and of the data that it comes with.
_INPUT, _CONVOLUTION_DATA = 34, 9
_HALF = 3
_DTYPES = {0: "float32", 1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64"}


class MnnFile:
    """Raises ValueError for anything but a network of MNN."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._file = file = Flatbuffer(content)
        try:
            net = file.root()
            operators = list(file.tables(net, 3))
            names = file.strings(net, 7)
            self.inputs = [one for operator in operators for one in self._input(operator, names)]
            self.outputs = file.strings(net, 4)
            self.is_half = any(self._weights(operator) == _HALF for operator in operators)
        except DAMAGE:
            raise ValueError("not a network of MNN, or truncated") from None
        if not operators or not self.inputs:
            raise ValueError("not a network of MNN: it has no input")

    def _input(self, operator: int, names: list[str]) -> Iterator[tuple[str, list[int | None], str]]:
        """(name, sizes, dtype); a size that the file leaves open is None."""
        file = self._file
        if file.number(operator, 5, "<i") != _INPUT:
            return
        data = file.table(operator, 2)
        sizes = file.numbers(data, 0) if data else []
        dtype = file.number(data, 1, "<i") if data else 0
        for place in file.numbers(operator, 4):
            shape = [size if size > 0 else None for size in sizes]
            yield names[place], shape, _DTYPES.get(dtype, "type %d" % dtype)

    def _weights(self, operator: int) -> int:
        """How the weights of a convolution are stored; 0 if as float32, and for other operators."""
        file = self._file
        data = file.table(operator, 2)
        if not data or file.number(operator, 1, "<B") != _CONVOLUTION_DATA:
            return 0
        stored = file.table(data, 3)
        return file.number(stored, 2, "<i") if stored else 0
