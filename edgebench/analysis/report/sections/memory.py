"""Memory in parts: the bare runtime, what loading added, what inferring added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgebench.analysis import formatting
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report.sections import Figure, PageSection, _rows

PLACE = 200
_TEXT = (
    "Resident bytes of the worker, which add up to its high-water mark: the runtime without a model, what loading and "
    "the first inference added, what further inferences added at most. GPU memory is apart."
)
_PARTS = ("runtime", "loading", "inferring")
_GPU = (("gpu_process_bytes", "by its driver"), ("gpu_allocated_high_water_bytes", "by the allocator, at most"))


def sections(comparison: Comparison) -> Iterator[PageSection]:
    known = [row for row in comparison.rows if row.record.memory is not None and row.verdict.level != "invalid"]
    rows = [row for row in known if row.record.memory and row.record.memory.parts is not None]
    on_gpu = [row for row in known if _on_gpu(row)]
    figures = []
    if rows:
        drawn, more = _rows.cut(rows)
        said = _rows.sentence("Runtime + loading + inferring", rows, _said) + more
        figures.append(Figure("memory", "Memory of the worker", said, (_parts_panel(drawn),)))
    if on_gpu:
        drawn, more = _rows.cut(on_gpu)
        said = _rows.sentence("GPU memory", on_gpu, _gpu_said) + more
        figures.append(Figure("memory-gpu", "Memory of the GPU", said, (_gpu_panel(drawn),)))
    if figures:
        yield PageSection("Memory in parts", _TEXT, figures=tuple(figures))


def _sizes(row: ComparisonRow) -> tuple[int, int, int]:
    parts = row.record.memory.parts if row.record.memory else None
    assert parts is not None
    return parts.runtime, parts.weights, parts.working_set


def _said(row: ComparisonRow) -> str:
    return f"{_rows.name_of(row)} {' + '.join(map(formatting.size, _sizes(row)))}"


def _parts_panel(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    data = [
        {"artifact": _titled(row), "part": part, "order": order, "MB": _rows.short(size / 1e6)}
        for row in rows
        for order, (part, size) in enumerate(zip(_PARTS, _sizes(row), strict=True))
    ]
    return _bars(data, _PARTS, stacked=True)


def _titled(row: ComparisonRow) -> str:
    return f"{_rows.name_of(row)}: {formatting.size(row.high_water_bytes)}"


def _on_gpu(row: ComparisonRow) -> list[tuple[str, int]]:
    running = row.record.memory.running if row.record.memory else {}
    return [(words, running[key]) for key, words in _GPU if key in running]


def _gpu_said(row: ComparisonRow) -> str:
    return f"{_rows.name_of(row)} {', '.join(f'{formatting.size(size)} {words}' for words, size in _on_gpu(row))}"


def _gpu_panel(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    data = [
        {"artifact": _rows.name_of(row), "part": words, "order": order, "MB": _rows.short(size / 1e6)}
        for row in rows
        for order, (words, size) in enumerate(_on_gpu(row))
    ]
    return _bars(data, [words for _, words in _GPU], stacked=False)


def _bars(data: list[dict[str, Any]], parts: Sequence[str], *, stacked: bool) -> dict[str, Any]:
    import altair as alt

    from edgebench.analysis.report.sections import _drawing

    bar: dict[str, Any] = {"height": _drawing.BAR, "yOffset": _drawing.BELOW}
    mark = bar if stacked else {**bar, "opacity": 0.8}
    chart = (
        alt.Chart(_drawing.ROWS)
        .mark_bar(**mark)
        .encode(
            x=alt.X("MB:Q", title="MB", stack="zero" if stacked else None, axis=alt.Axis(tickCount=6)),
            y=_drawing.names(),
            color=alt.Color("part:N", sort=list(parts), title=None, legend=_drawing.WIDE_LEGEND),
            order=alt.Order("order:Q"),
            tooltip=_drawing.tips("artifact", "part", MB="MB"),
        )
    )
    return _drawing.panel(chart, data, height=_drawing.ROW * len({one["artifact"] for one in data}))
