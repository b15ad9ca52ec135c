"""Figures typed by hand, as `name=value` or in words.

runtime=ncnn threads=4 ms=33.9
OpenVINO, 4 threads, FP32, Raspberry Pi 5: 81.2 ms
"""

from __future__ import annotations

import difflib
import re
import shlex
from typing import Any

from edgebench.analysis.published.row import (
    PRECISIONS,
    RUNTIMES,
    PublishedFigure,
    Statistic,
    number,
    plain,
    precision_of,
    runtime_of,
)
from edgebench.errors import UnknownName, UserError

FORM = "runtime=ncnn threads=4 ms=33.9"
_TIMES_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1.0}
# Keyboards have the Greek letter, data sheets the sign of SI: U+03BC, U+00B5.
_MU, _MICRO = "\u03bc", "\u00b5"
_RATES = ("fps", "ips", "inf/s", "inferences/s")
_STATISTICS: dict[str, Statistic] = {
    "min": "minimum", "minimum": "minimum", "best": "minimum", "avg": "average", "mean": "average",
    "average": "average", "median": "median", "p50": "median", "p90": "p90",
}  # fmt: skip
# There are more runtimes than we know: one that is this like a known name is taken for a slip.
_SLIP = 0.8
_KEYS = ("model", "device", "runtime", "threads", "precision", "statistic", "batch", "input", "weights")
_FIGURE = re.compile(r"(?<![\w.])([\d,]*\.?\d+)\s*(ms|µs|us|fps|inf/s|s)(?![\w/])", re.IGNORECASE)
# `33.9 ± 0.5 ms`, `33.9 ms ± 2 %`: how far it spreads is not what it is.
_PLUS_MINUS = r"\s*(?:±|\+/-|\+-)\s*[\d.,]+"
_SPREAD = re.compile(
    rf"(?<=\d){_PLUS_MINUS}(?=\s*[a-zµ])|(?<=[a-z]){_PLUS_MINUS}\s*(?:ms|µs|us|ns|s|%)?", re.IGNORECASE
)
# What makes a figure a part of another one, a range, a bound, or another name's value: `5e-3`, `30-40`, `1 234`, `< 5`.
_NOT_ITS_START = re.compile(
    r"([-+\u2212'\u2019±=]|[<>≤≥]\s*|\d\s*[-\u2013\u2014]\s*|\d\s*to\s+|\d[\u00a0\u2009\u202f])$", re.IGNORECASE
)
_NAMES_ANOTHER = re.compile(r"\s*=")
_THREADS = re.compile(r"(\d+)\s*(?:-\s*)?threads?|threads?\s*[:=]?\s*(\d+)", re.IGNORECASE)
_DEVICE = re.compile(
    r"(?:raspberry\s*)?pi\s*(?:zero\s*2\s*w|[2-5]\s*b?\+?)|jetson\s+\w+(?:\s+\w+)?|rk3588|odroid[- ]\w+", re.I
)


def read_pairs(text: str) -> PublishedFigure | None:
    """None if it holds no `name=value`. Raises UserError for names and values that cannot be read."""
    try:
        words = shlex.split(text.replace(_MU, _MICRO))
    except ValueError:
        return None
    if not words or not all("=" in word for word in words):
        return None
    given = dict(word.split("=", 1) for word in words)
    if len(given) < len(words):
        raise UserError("--against", f"'{text}' says something twice", f"For example: {FORM}")
    known = (*_KEYS, *_TIMES_NS, *_RATES)
    for key in given:
        if key not in known:
            raise UnknownName("--against", key, known)
    figures = {key: number(value) for key, value in given.items() if key in (*_TIMES_NS, *_RATES)}
    if len(figures) != 1 or None in figures.values():
        raise UserError("--against", f"'{text}' has no single time above 0", f"For example: {FORM}")
    ((unit, value),) = figures.items()
    assert value is not None
    return PublishedFigure("figures typed by hand", _ns(value, unit), **_conditions(given))


def _conditions(given: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {name: given.get(name) for name in ("model", "device", "weights")}
    made["input_size"] = given.get("input")
    for name in ("threads", "batch"):
        if name in given:
            if not given[name].isdecimal() or not 0 < int(given[name]) <= 1024:
                raise UserError("--against", f"{name}={given[name]} is not a count", f"For example: {FORM}")
            made[name] = int(given[name])
    for name, names in (("runtime", RUNTIMES), ("precision", PRECISIONS), ("statistic", _STATISTICS)):
        if name in given:
            found = names.get(plain(given[name]))
            if found is None and (name == "statistic" or difflib.get_close_matches(given[name], names, cutoff=_SLIP)):
                raise UnknownName(f"--against: {name}", given[name], names)
            made[name] = found or given[name]
    return made


def read_words(text: str) -> PublishedFigure | None:
    """A line with exactly one time or rate, and what else its words say; None for anything else."""
    text = _SPREAD.sub("", text.replace(_MU, _MICRO))
    figures = list(_FIGURE.finditer(text))
    if len(figures) != 1 or not _is_whole(figures[0], text):
        return None
    value, unit = number(figures[0][1]), figures[0][2].lower()
    words = re.split(r"[\s,;:|()]+", text)
    runtime = next((found for word in words if (found := runtime_of(word))), None)
    if value is None or runtime is None:
        return None
    threads, device = _THREADS.search(text), _DEVICE.search(text)
    return PublishedFigure(
        "a line of words",
        _ns(value, unit),
        next((_STATISTICS[word.lower()] for word in words if word.lower() in _STATISTICS), None),
        model=next((word for word in words if _is_model(word)), None),
        device=device[0].strip() if device else None,
        runtime=runtime,
        threads=int(threads[1] or threads[2]) if threads else None,
        precision=next((found for word in words if (found := precision_of(word))), None),
    )


def _is_whole(figure: re.Match[str], text: str) -> bool:
    before, after = text[: figure.start()], text[figure.end() :]
    return not _NOT_ITS_START.search(before) and not _NAMES_ANOTHER.match(after)


def _is_model(word: str) -> bool:
    return bool(re.match(r"(yolo|mobilenet|resnet|efficientnet|squeezenet|shufflenet|vgg|vit)", word, re.IGNORECASE))


def _ns(value: float, unit: str) -> float:
    return value * _TIMES_NS[unit] if unit in _TIMES_NS else 1e9 / value
