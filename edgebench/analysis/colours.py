"""Colours of pages and charts, for a light and a dark scheme.

Text keeps at least 4.5:1 against what it stands on (WCAG 2.2, 1.4.3), marks of charts at least 3:1 (1.4.11).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColourScheme:
    """marks: of charts, in this order. outcomes: different, equivalent, not resolved. page: colours of the page alone.
    Those named like a verdict, and `note`, stand behind white text.
    """

    ink: str
    soft: str
    line: str
    marks: tuple[str, ...]
    outcomes: tuple[str, str, str]
    page: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """Of a style sheet, without the dashes."""
        numbered = {f"mark{number}": colour for number, colour in enumerate(self.marks)}
        numbered |= {f"outcome{number}": colour for number, colour in enumerate(self.outcomes)}
        return {"ink": self.ink, "soft": self.soft, "line": self.line, **self.page, **numbered}


BADGES = {"valid": "#1e7d4f", "suspect": "#955f00", "invalid": "#b3261e", "note": "#566473"}
LIGHT = ColourScheme(
    ink="#1d2733",
    soft="#566473",
    line="#e3e8ee",
    marks=("#2c6fbb", "#c8414f", "#2a7f50", "#a86400", "#6a4c93", "#00798c", "#7d5f55", "#546e7a"),
    outcomes=("#2c6fbb", "#2a7f50", "#6b7785"),
    page={"paper": "#ffffff", "ground": "#f5f7fa", "marked": "#f0f5fb", **BADGES},
)
DARK = ColourScheme(
    ink="#e4e9ef",
    soft="#a6b1bd",
    line="#35414f",
    marks=("#6aa9ee", "#f08090", "#6fcf97", "#f2c14e", "#b79bdf", "#4fc3d4", "#c8a99c", "#a3b8c2"),
    outcomes=("#6aa9ee", "#6fcf97", "#a6b1bd"),
    page={"paper": "#18202a", "ground": "#0f151c", "marked": "#202c3a", **BADGES},
)
