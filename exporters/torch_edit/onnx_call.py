"""A node of an .onnx graph, as the functions that stand for operators in torch see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class UnknownOperator(Exception):
    """The graph has an operator, or a mode of one, that is not known here; its message is the name."""


@dataclass(frozen=True)
class Call:
    """A node. known: the constants of the graph, by name."""

    node: Any
    opset: int
    known: dict[str, Any]

    def get(self, name: str, otherwise: Any = None) -> Any:
        """An attribute."""
        from onnx import helper

        held = next((one for one in self.node.attribute if one.name == name), None)
        if held is None:
            return otherwise
        value = helper.get_attribute_value(held)
        return value.decode() if isinstance(value, bytes) else value

    def has(self, place: int) -> bool:
        return len(self.node.input) > place and bool(self.node.input[place])

    def numbers(self, place: int) -> Any:
        """The constant that an input is, as an array. Raises UnknownOperator if it is calculated."""
        name = self.node.input[place]
        if name not in self.known:
            raise UnknownOperator(f"{self.node.op_type} whose input {place} is calculated")
        return self.known[name]

    def integers(self, place: int, attribute: str = "") -> list[int] | None:
        """A list that is an attribute in older opsets, None if it is neither."""
        if attribute and (given := self.get(attribute)) is not None:
            return [int(one) for one in given]
        return [int(one) for one in self.numbers(place).reshape(-1)] if self.has(place) else None

    def refuse(self, mode: str) -> UnknownOperator:
        return UnknownOperator(f"{self.node.op_type} ({mode})")


Operator = Callable[..., Any]
