"""A line of ncnn's benchncnn, with the lines above it if they are there.

num_threads = 4
   mobilenet_v2  min =    9.00  max =   72.98  avg =   33.88
"""

from __future__ import annotations

import re

from edgebench.analysis.published.row import PublishedFigure, number

FORM = "mobilenet_v2  min =    9.00  max =   72.98  avg =   33.88"
_LINE = re.compile(r"^\s*(\S+)\s+min\s*=\s*[\d.]+\s+max\s*=\s*[\d.]+\s+avg\s*=\s*([\d.]+)\s*$", re.MULTILINE)
_THREADS = re.compile(r"num_threads\s*=\s*(\d+)")
_NOTES = (
    "benchncnn times random weights.",
    "ncnn computes in fp16 by default where the processor can (fp16 arithmetic, storage and packing are on).",
)


def read(text: str) -> list[PublishedFigure]:
    threads = _THREADS.search(text)
    return [
        PublishedFigure(
            "a benchncnn line",
            ms * 1e6,
            "average",
            model=re.sub(r"_int8$", "", name),
            runtime="ncnn",
            threads=int(threads[1]) if threads else None,
            precision="int8" if name.endswith("_int8") else "fp16",
            batch=1,
            weights="random",
            notes=_NOTES[:1] if name.endswith("_int8") else _NOTES,
        )
        for name, average in _LINE.findall(text)
        if (ms := number(average)) is not None
    ]
