"""Options of `deploy` that measure files as they were measured, where a target's usual ones would not."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench.schema.record import Record

# What a target measures each format in unless its entry, or --runtimes, says otherwise.
_USUAL_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert"}


def options(records: Sequence[Record], typed: str = "") -> list[str]:
    """Of one job, as far as its records keep it: runtimes, threads and precision, but none that is typed already."""
    known = _known(records)
    return [word for option, value in known.items() if option not in typed.split() for word in (option, value)]


def _known(records: Sequence[Record]) -> dict[str, str]:
    found: dict[str, str] = {}
    runtimes = list(dict.fromkeys(one.runtime.name for one in records))
    usual = all(one.runtime.name == _USUAL_RUNTIMES.get(one.artifact.format, one.runtime.name) for one in records)
    if not usual and not any(one.in_browser for one in records):
        found["--runtimes"] = ",".join(runtimes)
    threads = sorted({one.target.threads for one in records})
    if threads != [1]:
        found["--threads"] = ",".join(map(str, threads))
    if any(one.target.precision == "fast" for one in records):
        found["--precision"] = "fast"
    return found
