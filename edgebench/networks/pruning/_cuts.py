"""What a method that removes parts tells of its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOWN = 4


@dataclass(frozen=True)
class Cuts:
    """removed: channels, of all layers together; None if the method does not count them. kept: of how many.
    untouched: layer -> why it keeps all its channels.
    """

    removed: int | None = None
    of: int = 0
    untouched: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """In words, a line for each reason; of its details, which stand in brackets, those of the first layer."""
        if self.removed is None:
            return []
        by_reason: dict[str, list[str]] = {}
        details: dict[str, str] = {}
        for layer, reason in self.untouched.items():
            kind = reason.partition(" (")[0]
            by_reason.setdefault(details.setdefault(kind, reason), []).append(layer)
        lines = [f"channels: {self.removed:,} of {self.of:,} removed"]
        for reason, layers in by_reason.items():
            more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
            lines.append(f"not cut: {', '.join(layers[:_SHOWN])}{more}: {reason}")
        return lines
