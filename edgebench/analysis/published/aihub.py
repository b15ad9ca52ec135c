"""AI Hub's perf.yaml, in its older and its newer form: every inference time in it, with the names above it.

performance_metrics: [ {torchscript_onnx_tflite: {inference_time: 369.0, ...}, reference_device_info: {...}} ]
precisions: {float: {components: {NAME: {performance_metrics: {DEVICE: {tflite: {inference_time_milliseconds: ..}}}}}}}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebench.analysis.published.row import PublishedFigure, precision_of, runtime_of

FORM = "perf.yaml#tflite,Galaxy S24 (words that single out one row)"
_UNITS_NS = {"inference_time": 1e3, "inference_time_milliseconds": 1e6, "inference_time_ms": 1e6}
_NOTES = (
    "AI Hub runs on hosted Qualcomm devices, mostly on the NPU; it does not say which statistic the time is.",
    "Its runtime and precision are those of the path; other software versions run there.",
)
_DEEPEST = 24


def read(content: object) -> list[PublishedFigure]:
    return list(_walk(content, (), None, set()))


def _walk(node: object, above: tuple[str, ...], device: str | None, seen: set[int]) -> Iterator[PublishedFigure]:
    """seen: what was walked; aliases in the file may name one node many times."""
    if len(above) > _DEEPEST or not isinstance(node, list | dict) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, list):
        for one in node:
            yield from _walk(one, above, device, seen)
        return
    device = _device(node) or device
    named = node.get("name")
    inner = (*above, named) if isinstance(named, str) and "performance_metrics" in node else above
    for key, unit in _UNITS_NS.items():
        value = node.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12:
            yield _row(value * unit, node, above, device)
            return
    for key, one in node.items():
        yield from _walk(one, (*inner, str(key)), device, seen)


def _device(node: dict[Any, Any]) -> str | None:
    info = node.get("reference_device_info") or node.get("device")
    name = info.get("name") if isinstance(info, dict) else None
    return name if isinstance(name, str) else None


def _row(ns: float, node: dict[Any, Any], above: tuple[str, ...], device: str | None) -> PublishedFigure:
    """above: the keys on the way; the last is the path (torchscript_onnx_tflite), the one before it may be a device."""
    path = above[-1] if above else ""
    words = [path, *reversed(path.split("_"))]
    runtime = next((found for word in words if (found := runtime_of(word))), None)
    stated = [str(node.get("precision", "")), *above]
    is_newer = "components" in above
    unit = node.get("primary_compute_unit")
    notes = _NOTES if not isinstance(unit, str) else (*_NOTES, f"Most of its layers ran on the {unit}.")
    return PublishedFigure(
        "a row of AI Hub's yaml",
        ns,
        model=_model(above, is_newer=is_newer),
        device=device or (above[-2] if is_newer and len(above) > 1 else None),
        runtime=runtime,
        precision=next((found for word in stated if (found := precision_of(word))), None),
        batch=1,
        notes=notes,
    )


def _model(above: tuple[str, ...], *, is_newer: bool) -> str | None:
    if is_newer:
        place = above.index("components") + 1
        return above[place] if place < len(above) else None
    place = above.index("performance_metrics") if "performance_metrics" in above else 0
    return above[place - 1] if place > 0 and above[place - 1] != "models" else None
