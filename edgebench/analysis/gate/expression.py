"""The grammar of `--fail-if`.

    METRIC COMPARISON VALUE [for PATTERN]

    latency_p50 > 1.05              fails if the ratio to the baseline is above 1.05; the same: latency_p50 > +5%
    accuracy < -0.3pt               fails if it is more than 0.3 points below the baseline's
    latency_p99 < 20ms              a budget: fails unless it holds; the same: latency_p99 > 20ms
    size > 1.1 for *-int8           for files of these names alone

A value with a unit of its own (ms, MB, mJ; % for accuracy) is a budget, and either comparison states it. A plain number
or a change (+5%, -0.3pt) is against the baseline, and the comparison says what fails.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgebench.errors import UserError

Kind = Literal["ratio", "points", "budget"]

_TIMES = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}
_JOULES = {"uJ": 1e-6, "µJ": 1e-6, "mJ": 1e-3, "J": 1.0}
# Each metric with its units; what it is counted in is the unit of 1.
UNITS: dict[str, dict[str, float]] = {
    "latency_p50": _TIMES,
    "latency_p90": _TIMES,
    "latency_p99": _TIMES,
    "energy": _JOULES,
    "memory": _BYTES,
    "size": _BYTES,
    "accuracy": {"%": 0.01},
}
_SHAPE = re.compile(
    r"\s*(?P<metric>[A-Za-z_0-9]+)\s*(?P<comparison>[<>]=?)\s*(?P<value>[+-]?[0-9]*\.?[0-9]+)\s*(?P<unit>[A-Za-zµ%]*)"
    r"(?:\s+for\s+(?P<pattern>\S+))?\s*\Z"
)
# Whatever may have been meant as one: other signs, a decimal comma, any unit, a `for` without a name.
_MEANT = re.compile(
    r"\s*(?P<metric>[A-Za-z_0-9]+)[^<>=≤≥0-9+-]*(?P<comparison>[<>=≤≥]+)\s*(?P<value>[+-]?[0-9]*[.,]?[0-9]+)\s*"
    r"(?P<unit>[A-Za-zµμ%]*)(?P<pattern>\s+for\s+\S+)?"
)
_USUAL_UNIT = {"latency": "ms", "energy": "mJ", "memory": "MB", "size": "MB", "accuracy": "pt"}
_EXAMPLES = {metric: f"{metric} > 1.05" for metric in UNITS} | {"accuracy": "accuracy < -0.3pt"}


@dataclass(frozen=True)
class Check:
    """fails_above: the gate fails for values above the limit, else for those below it. limit: a ratio, a difference of
    fractions, or a budget in ns, bytes, joules, or a fraction. pattern: of the files' names.
    """

    text: str
    metric: str
    kind: Kind
    fails_above: bool
    limit: float
    pattern: str = "*"


def parse(text: str) -> Check:
    """Raises UserError with the nearest right form."""
    found = _SHAPE.match(text)
    if found is None:
        raise _wrong(text, "it is not METRIC > VALUE or METRIC < VALUE", _nearest(text))
    metric, unit, value = found["metric"], found["unit"], float(found["value"])
    if metric not in UNITS:
        raise _wrong(text, f"there is no metric '{metric}'", _nearest(text))
    above = found["comparison"].startswith(">")
    kind, limit = _limit(text, metric, unit, value, is_signed=found["value"][0] in "+-")
    worse_above = metric != "accuracy"
    if kind != "budget" and above is not worse_above:
        raise _wrong(text, "it would fail what is better than the baseline", _nearest(text))
    return Check(text.strip(), metric, kind, worse_above, limit, found["pattern"] or "*")


def _limit(text: str, metric: str, unit: str, value: float, *, is_signed: bool) -> tuple[Kind, float]:
    if metric == "accuracy":
        if unit == "pt":
            return "points", value / 100
        if unit == "%" and not is_signed:
            return "budget", value / 100
        raise _wrong(text, "an accuracy is compared in points (pt), or has a budget in per cent", _nearest(text))
    if not unit and not is_signed and value > 0:
        return "ratio", value
    if unit == "%" and value > -100:
        return "ratio", 1 + value / 100
    if unit in UNITS[metric] and not is_signed:
        return "budget", value * UNITS[metric][unit]
    if unit in UNITS[metric]:
        raise _wrong(text, "a budget has no sign", _nearest(text))
    seen = f"'{unit or f'{value:g}'}' is neither a ratio, a change in per cent, nor one of {', '.join(UNITS[metric])}"
    raise _wrong(text, seen, _nearest(text))


def _nearest(text: str) -> str:
    """The check that was probably meant; if there is none, its metric with an example of a comparison."""
    text = re.sub(r"(?i)\blatency[ -]+p", "latency_p", text)
    metric = _closest(re.split(r"[^A-Za-z_0-9]", text.strip())[0])
    if not metric:
        return _listed()
    return next((one for one in _repaired(text, metric) if _is_right(one)), _EXAMPLES[metric])


def _repaired(text: str, metric: str) -> Iterator[str]:
    """What differs less from the text comes first."""
    found = _MEANT.match(text)
    if found is None or re.match(r"[0-9]", text[found.end() :]):
        return
    value, unit, pattern = found["value"].replace(",", "."), found["unit"].replace("μ", "µ"), found["pattern"] or ""
    above = found["comparison"][0] in ">≥"
    known = [*UNITS[metric], "%", "pt"]
    units = [one for one in known if one == unit] or [
        one for one in known if one.lower() == unit.lower().replace("ib", "b")
    ]
    signs = "><" if above else "<>"
    forms = [(sign, one) for one in units for sign in signs]
    if not units and 1 <= abs(float(value)) <= 2:  # a ratio, whichever way it was compared
        forms += [(sign, "") for sign in signs]
    if not unit and (metric == "accuracy" or not 0.5 <= float(value) <= 1):
        usual = "%" if metric == "accuracy" and float(value) > 5 else _USUAL_UNIT[metric.partition("_")[0]]
        forms += [(sign, usual) for sign in signs]
    for sign, which in forms:
        yield f"{metric} {sign} {value}{which}{pattern}"
        size = value.lstrip("+-")
        yield f"{metric} {sign} {'-' * (which == 'pt')}{size}{which}{pattern}"


def _is_right(text: str) -> bool:
    found = _SHAPE.match(text)
    if found is None:
        return False
    budget = found["unit"] in UNITS[found["metric"]] and found["value"][0] not in "+-"
    if found["metric"] == "accuracy":
        return budget or (found["unit"], found["comparison"][0], found["value"][0]) == ("pt", "<", "-")
    return budget or (found["comparison"][0] == ">" and found["unit"] in ("", "%") and float(found["value"]) > 0)


def _closest(metric: str) -> str:
    known = {name.replace("_", ""): name for name in UNITS} | {"latency": "latency_p50", "p50": "latency_p50"}
    known |= {"p90": "latency_p90", "p99": "latency_p99", "top1": "accuracy", "joules": "energy", "bytes": "size"}
    found = difflib.get_close_matches(metric.lower().replace("_", ""), known, n=1, cutoff=0.5)
    return known[found[0]] if found else ""


def _listed() -> str:
    return f"latency_p50 > 1.05 (metrics: {', '.join(UNITS)})"


def _wrong(text: str, seen: str, right: str) -> UserError:
    return UserError("--fail-if", f"'{text}': {seen}", f"For example: {right}")
