"""A row of MLPerf Tiny's results, or lines of its runner's results.txt.

| STM32L4R5 | 6.04 | 5,495.9 | 87.0 |                          system, inferences a second, µJ each, top-1
ulp-mlperf: Median throughput is 6.04 inf./sec.
"""

from __future__ import annotations

import re

from edgebench.analysis.published.row import PublishedFigure, number, runtime_of

FORM = "| STM32L4R5 | 6.04 | 5495.9 | 87.0 |"
_THROUGHPUT = re.compile(r"throughput is\s+([\d.,]+)\s*inf", re.IGNORECASE)
_ENERGY = re.compile(r"energy[^\n]*?is\s+([\d.,]+)\s*uJ/inf", re.IGNORECASE)
_UNKNOWN = ("-", "–", "—", "n/a", "")
_NOTE = "MLPerf Tiny: the median of five windows of ten seconds or more, single-stream; energy with idle power."


def read(text: str) -> list[PublishedFigure]:
    found = [row for line in text.splitlines() if (row := _row(line))]
    if told := _THROUGHPUT.search(text):
        energy = _ENERGY.search(text)
        rate = number(told[1].rstrip("."))
        if rate:
            found.append(_made(rate, None, number(energy[1].rstrip(".")) if energy else None, None))
    return found


def _row(line: str) -> PublishedFigure | None:
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) != 4 or number(cells[0]) is not None or not re.search(r"[A-Za-z]", cells[0]) or runtime_of(cells[0]):
        return None
    values = [number(cell) for cell in cells[1:]]
    is_whole = all(value is not None or cell in _UNKNOWN for value, cell in zip(values, cells[1:], strict=True))
    rate, microjoules, top1 = values
    if not is_whole or rate is None or (top1 is not None and not 1 < top1 <= 100):
        return None
    return _made(rate, cells[0], microjoules, top1)


def _made(rate: float, device: str | None, microjoules: float | None, top1: float | None) -> PublishedFigure:
    return PublishedFigure(
        "a row of MLPerf Tiny",
        1e9 / rate,
        "median",
        device=device,
        batch=1,
        joules=None if microjoules is None else microjoules / 1e6,
        accuracy=None if top1 is None else top1 / 100,
        notes=(_NOTE,),
    )
