"""The page's answers to each request, checked before the job sees them; only known fields are passed on.

After an impossible answer the artifact fails (WorkerFailed), and the job continues with the others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from device_agents.python import series
from device_agents.python.process import WorkerFailed
from edgebench.device.phone.messages import text, whole

MAX_NS = 10**15  # eleven days
MAX_BYTES = 1 << 40
MAX_INPUTS, MAX_RANK = 256, 16
# Times that a page reports are checked against this machine's clock; the two clocks differ by less than this.
CLOCK_SHARE, CLOCK_NS = 1.02, 10**9

Answer = Mapping[str, Any]


def checked(what: str, answer: Answer, asked: Mapping[str, Any], took_ns: int) -> Any:
    """took_ns: how long the answer took, by this machine's clock. Raises WorkerFailed."""
    ok = answer.get("ok")
    if what == "pace" and ok is None:
        return None
    if what not in _CHECKS or not isinstance(ok, dict):
        raise _unfit(what, "something else")
    return _CHECKS[what](ok, asked, int(took_ns * CLOCK_SHARE) + CLOCK_NS)


def timed(answer: Answer, asked: Mapping[str, Any], took_ns: int) -> tuple[dict[str, Any], list[int]]:
    """The answer as of worker.py's do_time, and the values."""
    ok = answer.get("ok")
    if not isinstance(ok, dict):
        raise _unfit("time", "something else")
    longest = int(took_ns * CLOCK_SHARE) + CLOCK_NS
    values = _values(ok.get("values_ns"), asked["count"], exactly=not asked.get("least_s"))
    if sum(values) > longest:
        raise _unfit("time", f"{sum(values) / 1e9:.3g} s of inferences in an answer that took {took_ns / 1e9:.3g} s")
    missed = None if ok.get("missed") is None else _whole("time", ok, "missed", 0, len(values))
    # At a fixed rate every inference begins cold; that is what is measured.
    settled = values if missed is not None else values[series.cold_prefix(values) :]
    return {
        "round": {
            "start_ns": _whole("time", ok, "start_ns", 0, 1 << 62),
            "duration_ns": max(_whole("time", ok, "duration_ns", 0, longest), sum(values)),
            "missed": missed,
        },
        "median_ns": series.median(settled),
        "settled": len(settled),
        "sum_ns": sum(values),
    }, values


def _values(values: Any, count: int, *, exactly: bool) -> list[int]:
    if not isinstance(values, list) or len(values) < count or (exactly and len(values) > count):
        raise _unfit("time", f"fewer or more than {count} values")
    if not all(whole(value, 0, MAX_NS) is not None for value in values):
        raise _unfit("time", "values that are not times")
    # Too short for the clock to resolve; such values make the job use longer blocks.
    return [max(value, 1) for value in values]


def _runtime(ok: Answer, asked: Mapping[str, Any], longest: int) -> dict[str, str]:
    return {key: text(ok.get(key), 100) for key in ("threads", "build", "adapter") if text(ok.get(key), 100)}


def _load(ok: Answer, asked: Mapping[str, Any], longest: int) -> dict[str, Any]:
    inputs = ok.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MAX_INPUTS:
        raise _unfit("load", "no inputs")
    return {
        "load_ns": _whole("load", ok, "load_ns", 0, longest),
        "first_inference_ns": _whole("load", ok, "first_inference_ns", 0, longest),
        "runtime": {"notes": _notes(ok.get("notes"))},
        "fed": [_input(one) for one in inputs],
        **({"signature": text(ok["signature"], 200)} if ok.get("signature") else {}),
    }


def _input(one: Any) -> dict[str, Any]:
    given = one if isinstance(one, dict) else {}
    shape = given.get("shape")
    name = given.get("name")
    if not isinstance(name, str) or len(name) > 1000 or not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise _unfit("load", "an input without name or shape")
    return {
        "name": text(name, 1000),
        "shape": [_whole("load", {"shape": size}, "shape", 0, MAX_BYTES) for size in shape],
        "dtype": text(given.get("dtype"), 20),
    }


def _notes(notes: Any) -> dict[str, Any]:
    given = notes if isinstance(notes, dict) else {}
    known: dict[str, Any] = {}
    if isinstance(given.get("providers"), list):
        known["providers"] = [text(one, 40) for one in given["providers"][:8]]
    if isinstance(given.get("fully_delegated"), bool):
        known["fully_delegated"] = given["fully_delegated"]
    return known


def _golden(ok: Answer, asked: Mapping[str, Any], longest: int) -> dict[str, list[tuple[str, str]]]:
    outputs = ok.get("outputs")
    if not isinstance(outputs, list) or not 1 <= len(outputs) <= MAX_INPUTS:
        raise _unfit("golden", "no outputs")
    return {"outputs": [_numbers(one, asked["count"]) for one in outputs]}


def _numbers(output: Any, count: int) -> tuple[str, str]:
    code, numbers = output if isinstance(output, list) and len(output) == 2 else ("", "")
    width = {"f": 4, "q": 8}.get(code, 0) if isinstance(code, str) else 0
    try:
        size = len(base64.b64decode(numbers, validate=True)) if width and isinstance(numbers, str) else 0
    except (binascii.Error, ValueError):
        size = 0
    if not size or size % (width * count):
        raise _unfit("golden", f"no numbers for {count} inputs")
    return code, numbers


def _classify(ok: Answer, asked: Mapping[str, Any], longest: int) -> list[int]:
    classes = ok.get("classes")
    if not isinstance(classes, list) or not all(whole(one, 0, 65535) is not None for one in classes):
        raise _unfit("classify", "values that are not classes")
    if len(classes) != asked["count"]:
        raise _unfit("classify", f"{len(classes)} classes for {asked['count']} images")
    return classes


def _run_for(ok: Answer, asked: Mapping[str, Any], longest: int) -> dict[str, int]:
    return {
        "inferences": _whole("run_for", ok, "inferences", 1, 1 << 40),
        "start_ns": _whole("run_for", ok, "start_ns", 0, 1 << 62),
        "duration_ns": _whole("run_for", ok, "duration_ns", 1, longest),
    }


def _memory(ok: Answer, asked: Mapping[str, Any], longest: int) -> dict[str, int]:
    return {"wasm_heap_bytes": _whole("memory", ok, "wasm_heap_bytes", 0, MAX_BYTES)}


def _whole(what: str, answer: Answer, name: str, least: int, most: int) -> int:
    value = whole(answer.get(name), least, most)
    if value is None:
        raise _unfit(what, f"no {name} between {least} and {most}")
    return value


def _unfit(what: str, seen: str) -> WorkerFailed:
    return WorkerFailed("error", f"the page answered '{what}' with {seen}")


_CHECKS: dict[str, Callable[[Answer, Mapping[str, Any], int], Any]] = {
    "runtime": _runtime, "load": _load, "golden": _golden, "classify": _classify, "run_for": _run_for,
    "memory": _memory,
}  # fmt: skip
