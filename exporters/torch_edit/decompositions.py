"""Operators of torch that litert-torch cannot convert, in terms of others that it can; the same numbers.

A function that returns NotImplemented leaves the operator as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

# Beyond this many, a graph that finds one after the other is too large.
MOST_FOUND = 64


@cache
def register() -> None:
    """Tell litert-torch, for this process."""
    import torch
    from litert_torch.fx_infra import decomp

    aten = torch.ops.aten
    for operator, function in (
        (aten.convolution.default, _convolution),
        (aten.adaptive_max_pool2d.default, _adaptive_max_pool),
        (aten.max_pool3d.default, _max_pool3d),
        (aten.max_pool3d_with_indices.default, _max_pool3d_with_indices),
        (aten.avg_pool3d.default, _avg_pool3d),
        (aten._trilinear.default, _trilinear),
        (aten.topk.default, _top_k),
        (aten.sort.default, _sort),
        (aten.col2im.default, _col2im),
        (aten.index_add.default, _index_add),
        (aten.scatter_add.default, _scatter_add),
    ):
        decomp.add_pre_convert_decomp(operator, function)


# ------------------------------------------------------------------ transposed convolutions


def _convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Any:
    """Transposed ones in groups, dilated, or with output padding: one for each group, spread out, and cut."""
    import torch

    odd = groups > 1 or any(size != 1 for size in dilation) or any(output_padding)
    if not transposed or not odd:
        return NotImplemented
    wide = _spread(weight, dilation)
    ones, zeros = [1] * len(stride), [0] * len(stride)
    pairs = [(x, wide)] if groups == 1 else list(zip(x.chunk(groups, 1), wide.chunk(groups, 0), strict=True))
    parts = [torch.ops.aten.convolution(one, own, None, stride, zeros, ones, True, zeros, 1) for one, own in pairs]
    whole = parts[0] if groups == 1 else torch.cat(parts, 1)
    for axis, (cut, more) in enumerate(zip(padding, output_padding, strict=True), start=2):
        size = whole.shape[axis] - 2 * cut + more
        missing = max(0, cut + size - whole.shape[axis])
        if missing:
            shape = [*whole.shape[:axis], missing, *whole.shape[axis + 1 :]]
            whole = torch.cat([whole, whole.new_zeros(shape)], axis)
        whole = whole.narrow(axis, cut, size)
    return whole if bias is None else whole + bias.reshape(-1, *ones)


def _spread(weight: Any, dilation: list[int]) -> Any:
    """The kernel with its gaps filled by zeros."""
    import torch

    for axis, step in enumerate(dilation, start=2):
        if step == 1:
            continue
        size = weight.shape[axis]
        weight = weight.unsqueeze(axis + 1)
        gaps = weight.new_zeros([*weight.shape[: axis + 1], step - 1, *weight.shape[axis + 2 :]])
        weight = torch.cat([weight, gaps], axis + 1).flatten(axis, axis + 1)
        weight = weight.narrow(axis, 0, (size - 1) * step + 1)
    return weight


def _col2im(
    x: Any, size: list[int], window: list[int], dilation: list[int], padding: list[int], stride: list[int]
) -> Any:
    """Summing patches where they came from is a transposed convolution by ones."""
    import torch

    count = window[0] * window[1]
    channels = x.shape[-2] // count
    spans = [gap * (reach - 1) + 1 for gap, reach in zip(dilation, window, strict=True)]
    places = [
        (whole + 2 * pad - span) // step + 1
        for whole, pad, span, step in zip(size, padding, spans, stride, strict=True)
    ]
    more = [
        whole - ((number - 1) * step - 2 * pad + span)
        for whole, number, step, pad, span in zip(size, places, stride, padding, spans, strict=True)
    ]
    maps = x.reshape(-1, channels * count, *places)
    numbers = torch.arange(channels * count)
    weight = (numbers[:, None] == numbers).to(x.dtype).reshape(channels * count, channels, *window)
    return torch.ops.aten.convolution(maps, weight, None, stride, padding, dilation, True, more, 1)


# ------------------------------------------------------------------ pools


def _adaptive_max_pool(x: Any, size: list[int]) -> Any:
    """Window by window, each of its own size. The places of the maxima are not given: nobody may ask for them."""
    import torch

    for axis, count in zip((-2, -1), size, strict=True):
        whole = x.shape[axis]
        starts = [place * whole // count for place in range(count)]
        ends = [-(-(place + 1) * whole // count) for place in range(count)]
        parts = [x.narrow(axis, start, end - start) for start, end in zip(starts, ends, strict=True)]
        x = torch.cat([part.amax(axis, keepdim=True) for part in parts], axis)
    return x, torch.zeros_like(x, dtype=torch.int64)


def _max_pool3d(
    x: Any,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Any:
    import torch

    def pool(flat: Any, axes: slice) -> Any:
        sizes = (_three(one)[axes] for one in (window, stride or window, padding, dilation))
        reach, step, pad, gap = _two(axes, *sizes)
        return torch.nn.functional.max_pool2d(flat, reach, step, pad, gap, ceil_mode=ceil_mode)

    return _one_after_the_other(x, pool)


def _max_pool3d_with_indices(x: Any, window: Sequence[int], *more: Any) -> Any:
    import torch

    found = _max_pool3d(x, window, *more)
    return found, torch.zeros_like(found, dtype=torch.int64)


def _avg_pool3d(
    x: Any,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    import torch

    if divisor_override or ceil_mode:
        return NotImplemented

    def pool(flat: Any, axes: slice) -> Any:
        sizes = (_three(one)[axes] for one in (window, stride or window, padding))
        reach, step, pad = _two(axes, *sizes)
        return torch.nn.functional.avg_pool2d(flat, reach, step, pad, count_include_pad=count_include_pad)

    return _one_after_the_other(x, pool)


def _three(given: Sequence[int]) -> list[int]:
    return list(given) * 3 if len(given) == 1 else list(given)


def _two(axes: slice, *sizes: list[int]) -> list[list[int]]:
    """Along one axis: nothing happens along the other. Order: window, stride, padding, dilation."""
    still = (1, 1, 0, 1)
    return [one if len(one) == 2 else [*one, none] for one, none in zip(sizes, still, strict=False)]


def _one_after_the_other(x: Any, pool: Any) -> Any:
    """[n, c, d, h, w]: over h and w, then over d."""
    batch, channels, depth = x.shape[:3]
    x = pool(x.reshape(batch, channels * depth, *x.shape[3:]), slice(1, 3))
    height, width = x.shape[2:]
    x = pool(x.reshape(batch, channels, depth, height * width), slice(0, 1))
    return x.reshape(batch, channels, -1, height, width)


# ------------------------------------------------------------------ the rest


def _trilinear(
    a: Any, b: Any, c: Any, to_a: list[int], to_b: list[int], to_c: list[int], summed: list[int], *_: int
) -> Any:
    for axes, place in ((to_a, 0), (to_b, 1), (to_c, 2)):
        wide = (a, b, c)[place]
        for axis in sorted(axes):
            wide = wide.unsqueeze(axis)
        a, b, c = (wide if number == place else one for number, one in enumerate((a, b, c)))
    return (a * b * c).sum(summed)


def _top_k(x: Any, k: int, axis: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    """One after the other: TFLite runtimes do not know the sort that it would become."""
    import torch

    if k > MOST_FOUND or not x.is_floating_point():
        return NotImplemented
    axis %= max(x.ndim, 1)
    shape = [1] * x.ndim
    shape[axis] = -1
    places = torch.arange(x.shape[axis]).reshape(shape)
    left = x if largest else -x
    lowest = torch.full_like(x, torch.finfo(x.dtype).min)
    values, indices = [], []
    for _ in range(k):
        index = left.argmax(axis, keepdim=True)
        values.append(left.amax(axis, keepdim=True))
        indices.append(index)
        left = torch.where(places == index, lowest, left)
    found = torch.cat(values, axis)
    return (found if largest else -found), torch.cat(indices, axis)


def _sort(x: Any, axis: int = -1, descending: bool = False) -> Any:
    return _top_k(x, x.shape[axis], axis, descending)


def _index_add(x: Any, axis: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """By a matrix of zeros and ones."""
    import torch

    if not x.is_floating_point():
        return NotImplemented
    places = (torch.arange(x.shape[axis])[:, None] == index[None, :]).to(x.dtype) * alpha
    return x + (source.transpose(axis, -1) @ places.T).transpose(axis, -1)


def _scatter_add(x: Any, axis: int, index: Any, source: Any) -> Any:
    import torch

    if not x.is_floating_point() or any(
        one != other for place, (one, other) in enumerate(zip(x.shape, index.shape, strict=True)) if place != axis
    ):
        return NotImplemented
    hot = index.transpose(axis, -1).unsqueeze(-2) == torch.arange(x.shape[axis])[:, None]
    added = torch.where(hot, source.transpose(axis, -1).unsqueeze(-2), torch.zeros((), dtype=x.dtype)).sum(-1)
    return x + added.transpose(axis, -1)
