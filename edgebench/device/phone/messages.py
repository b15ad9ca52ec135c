"""Messages of a page, limited on arrival: JSON of little depth and few parts, and facts of known names and sizes.

Overlong numbers become infinite, and constants that are not numbers become NaN. Neither is a count, time or size, so
the checks that follow refuse them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from edgebench.device.phone.page import HttpRefusal

# There are tens of thousands of values, but not of names, braces and brackets.
MAX_PARTS, MAX_NAMES = 200_000, 4096
MAX_DIGITS = 20
_NAME = re.compile(r"[0-9a-zA-Z]{1,64}")
_TEXTS = {"user_agent": 400, "model": 100, "platform": 40, "platform_version": 40}
_FLAGS = ("secure_context", "isolated", "shared_memory", "relaxed_simd", "charging")
_COUNTS = {"cores": 4096, "clock_step_ns": 1_000_000_000}


def read(data: bytes, length: int) -> dict[str, Any]:
    """Raises HttpRefusal for anything that is not a message."""
    said = None
    if len(data) == length and _is_modest(data):
        try:
            said = json.loads(data, parse_int=_integer, parse_constant=lambda _: math.nan)
        except (ValueError, RecursionError):
            said = None
    if not isinstance(said, dict):
        raise HttpRefusal(400, "Not understood", "Reload the page.")
    return said


def _is_modest(data: bytes) -> bool:
    """Whether it may be parsed: a few megabytes of brackets would take hundreds as objects."""
    opened = data.count(b"[") + data.count(b"{")
    return data.count(b",") <= MAX_PARTS and max(opened, data.count(b":")) <= MAX_NAMES


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= MAX_DIGITS else math.inf


def name(value: Any) -> str:
    """The id of a tab or a page: random letters and digits. "" for anything else."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else ""


def facts(value: Any) -> dict[str, Any]:
    """The known facts with valid values; the rest is left out."""
    reported = value if isinstance(value, dict) else {}
    found: dict[str, Any] = {key: text(reported.get(key), most) for key, most in _TEXTS.items()}
    found |= {key: reported.get(key) for key in _FLAGS if isinstance(reported.get(key), bool)}
    found |= {key: reported[key] for key, most in _COUNTS.items() if whole(reported.get(key), 1, most) is not None}
    battery = reported.get("battery_fraction")
    if isinstance(battery, (int, float)) and not isinstance(battery, bool) and 0 <= battery <= 1:
        found["battery_fraction"] = float(battery)
    return {key: one for key, one in found.items() if one != ""}


def text(value: Any, most: int) -> str:
    """One line, without characters that move a terminal's cursor."""
    if not isinstance(value, str):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in value[:most]).strip()


def whole(value: Any, least: int, most: int) -> int | None:
    """The value if it is a whole number within these limits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None
