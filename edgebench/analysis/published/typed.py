"""Figures typed by hand, as `name=value` or in words.

runtime=ncnn threads=4 ms=33.9
OpenVINO, 4 threads, FP32, Raspberry Pi 5: 81.2 ms
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from edgebench.analysis.published.row import PublishedFigure, Statistic, number, precision_of, runtime_of
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
_KEYS = ("model", "device", "runtime", "threads", "precision", "statistic", "batch", "input", "weights")
_FIGURE = re.compile(r"(?<![\w.])([\d,]*\.?\d+)\s*(ms|µs|us|fps|inf/s|s)(?![\w/])", re.IGNORECASE)
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
    for name, read in (("runtime", runtime_of), ("precision", precision_of), ("statistic", _STATISTICS.get)):
        if name in given:
            found = read(given[name].lower())
            if found is None and name == "statistic":
                raise UnknownName("--against: statistic", given[name], _STATISTICS)
            made[name] = found or given[name]
    return made


def read_words(text: str) -> PublishedFigure | None:
    """A line with exactly one time or rate, and what else its words say; None for anything else."""
    text = text.replace(_MU, _MICRO)
    figures = _FIGURE.findall(text)
    if len(figures) != 1:
        return None
    value = number(figures[0][0])
    words = re.split(r"[\s,;:|()]+", text)
    runtime = next((found for word in words if (found := runtime_of(word))), None)
    if value is None or runtime is None:
        return None
    threads, device = _THREADS.search(text), _DEVICE.search(text)
    return PublishedFigure(
        "a line of words",
        _ns(value, figures[0][1].lower()),
        next((_STATISTICS[word.lower()] for word in words if word.lower() in _STATISTICS), None),
        model=next((word for word in words if _is_model(word)), None),
        device=device[0].strip() if device else None,
        runtime=runtime,
        threads=int(threads[1] or threads[2]) if threads else None,
        precision=next((found for word in words if (found := precision_of(word))), None),
    )


def _is_model(word: str) -> bool:
    return bool(re.match(r"(yolo|mobilenet|resnet|efficientnet|squeezenet|shufflenet|vgg|vit)", word, re.IGNORECASE))


def _ns(value: float, unit: str) -> float:
    return value * _TIMES_NS[unit] if unit in _TIMES_NS else 1e9 / value
