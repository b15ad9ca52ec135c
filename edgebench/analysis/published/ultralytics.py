"""A row of Ultralytics' tables, of its guides or of `yolo benchmark`: format, status, MB, mAP, ms an image, FPS.

| NCNN | ✅ | 10.4 | 0.5106 | 88.03 |
4     OpenVINO      ✅       10.4        0.5058     81.19   12.32
"""

from __future__ import annotations

import re

from edgebench.analysis.published.row import PublishedFigure, number, precision_of, runtime_of

FORM = "| NCNN | ✅ | 10.4 | 0.5106 | 88.03 |"
_DONE = "✅✔☑"
_HALF = {"ncnn": "fp16", "openvino": "bf16 or fp16"}
_NOTE = "Ultralytics reports means over a data set, one image at a time, at 640 x 640 unless it says otherwise."


def read(text: str) -> list[PublishedFigure]:
    return [row for line in text.splitlines() if any(mark in line for mark in _DONE) and (row := _row(line))]


def _row(line: str) -> PublishedFigure | None:
    cells = [_plain_cell(cell) for cell in (line.split("|") if "|" in line else re.split(r"\s{2,}|\t", line))]
    cells = [cell for cell in cells if cell]
    done = next((place for place, cell in enumerate(cells) if cell[0] in _DONE), None)
    if done is None:
        return None
    words = [cell for cell in cells[:done] if number(cell) is None]
    runtime = next((name for word in words if (name := runtime_of(word))), None)
    numbers = [value for cell in cells[done + 1 :] if (value := number(cell)) is not None]
    if runtime is None or len(numbers) < 3:
        return None
    size_mb, score, ms = numbers[:3]
    stated = next((name for word in words if (name := precision_of(word))), None)
    notes = [_NOTE]
    if runtime in _HALF and stated in (None, "fp32"):
        notes.append(
            f"{runtime} computes in {_HALF[runtime]} by default where the processor can, also in rows named FP32."
        )
    return PublishedFigure(
        "a row of Ultralytics' table",
        ms * 1e6,
        "average",
        model=next((word for word in words if re.match(r"yolo|rtdetr|sam", word, re.IGNORECASE)), None),
        runtime=runtime,
        precision=stated,
        batch=1,
        input_size="640x640",
        accuracy=score if score <= 1 else None,
        size_bytes=size_mb * 1e6,
        notes=tuple(notes),
    )


def _plain_cell(cell: str) -> str:
    """Without Markdown's links, stress and code."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).strip().strip("*`").strip()
