"""MNN calls back before and after each of its operators, in its older interface."""

from __future__ import annotations

import time

from .. import facts, layer_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# What it adds around operators to change the layout of their inputs.
_ADDED = ("_raster_", "___tr4")


class CalledBack:
    """engine: its compiled part; specs: its inputs as they are fed."""

    def __init__(self, engine: Any, path: str, precision: str, threads: int, specs: Sequence[dict[str, Any]]) -> None:
        self._engine = engine
        self._specs = specs
        self._half = precision == "low" and facts.has_half_arithmetic()
        self._network = engine.Interpreter(path)
        how = {"backend": "CPU", "numThread": threads, "precision": precision}
        self._session = self._network.createSession(how)
        self._given = self._network.getSessionInputAll(self._session)
        for one in specs:
            self._network.resizeTensor(self._given[one["name"]], tuple(one["shape"]))
        self._network.resizeSession(self._session)
        self._kinds = {
            "float32": engine.Halide_Type_Float, "int32": engine.Halide_Type_Int, "uint8": engine.Halide_Type_Uint8,
        }  # fmt: skip
        unfed = sorted({one["dtype"] for one in specs} - set(self._kinds))
        if unfed:
            raise ValueError("MNN's interface with callbacks takes no inputs of %s" % ", ".join(unfed))
        self._started = 0
        self._spent: list[list[tuple[str, str, int]]] = []
        self._shapes: dict[str, list[int]] = {}

    def inputs(self) -> Sequence[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        import numpy

        spec = self._specs[index]
        values = numpy.frombuffer(data, spec["dtype"]).reshape(spec["shape"])
        kind, layout = self._kinds[spec["dtype"]], self._engine.Tensor_DimensionType_Caffe
        self._given[spec["name"]].copyFrom(self._engine.Tensor(tuple(spec["shape"]), kind, values, layout))

    def invoke(self) -> None:
        self._spent.append([])
        self._network.runSessionWithCallBackInfo(self._session, self._begins, self._ends)

    def _begins(self, _: Any, about: Any) -> bool:
        self._started = time.perf_counter_ns()
        return True

    def _ends(self, made: Any, about: Any) -> bool:
        took = time.perf_counter_ns() - self._started
        name = about.getName()
        self._spent[-1].append((name, about.getType(), took))
        if made and name not in self._shapes:
            self._shapes[name] = list(made[0].getShape())
        return True

    def begin_layers(self) -> None:
        self._spent.clear()

    def layers(self, count: int) -> list[dict[str, Any]]:
        last = [(name, kind) for name, kind, _ in self._spent[-1]]
        alike = [one for one in self._spent[-count:] if [(name, kind) for name, kind, _ in one] == last]
        precision = "f16" if self._half else "f32"
        found = []
        for index, (name, kind) in enumerate(last):
            added = any(one in name for one in _ADDED)
            found.append({
                "name": name, "kind": kind, "kernel": "MNN", "precision": "i8" if "Int8" in kind else precision,
                "parents": [] if added or not name.startswith("/") else layer_names.layers_of(name),
                "shape": self._shapes.get(name, []), "ns": [one[index][2] for one in alike],
            })  # fmt: skip
        return found
