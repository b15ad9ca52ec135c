"""Operators of ONNX over images: convolutions, pools, resizing, in torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporters.torch_edit.onnx_call import Call, Operator


def _ends(call: Call, x: Any, window: list[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """(steps, dilations, padding before, padding after), for each axis of the image."""
    axes = len(window)
    steps, dilations = call.get("strides", [1] * axes), call.get("dilations", [1] * axes)
    pads, auto = call.get("pads", [0] * 2 * axes), call.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = []
        for size, step, reach, gap in zip(x.shape[2:], steps, window, dilations, strict=True):
            totals.append(max(0, (math.ceil(size / step) - 1) * step + (reach - 1) * gap + 1 - size))
        less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
    else:
        before, after = list(pads[:axes]), list(pads[axes:])
    return list(steps), list(dilations), before, after


def _padded(x: Any, before: list[int], after: list[int], value: float = 0.0) -> Any:
    import torch

    flat = [end for pair in zip(reversed(before), reversed(after), strict=True) for end in pair]
    return torch.nn.functional.pad(x, flat, value=value) if any(flat) else x


def _conv(call: Call, x: Any, weight: Any, bias: Any = None) -> Any:
    import torch

    steps, dilations, before, after = _ends(call, x, list(weight.shape[2:]))
    if before != after:
        x, before = _padded(x, before, after), [0] * len(before)
    zeros = [0] * len(steps)
    return torch.ops.aten.convolution(x, weight, bias, steps, before, dilations, False, zeros, call.get("group", 1))


def _conv_transpose(call: Call, x: Any, weight: Any, bias: Any = None) -> Any:
    import torch

    window = list(weight.shape[2:])
    axes = len(window)
    steps, dilations = call.get("strides", [1] * axes), call.get("dilations", [1] * axes)
    more = call.get("output_padding", [0] * axes)
    pads, wanted = list(call.get("pads", [0] * 2 * axes)), call.get("output_shape")
    auto = call.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [size * step for size, step in zip(x.shape[2:], steps, strict=True)]
    if wanted is not None:
        for axis in range(axes):
            full = (x.shape[2 + axis] - 1) * steps[axis] + more[axis] + (window[axis] - 1) * dilations[axis] + 1
            total = full - wanted[axis]
            less = total // 2
            pads[axis], pads[axis + axes] = (total - less, less) if auto == "SAME_LOWER" else (less, total - less)
    before, after = pads[:axes], pads[axes:]
    least = [min(pair) for pair in zip(before, after, strict=True)]
    # What is cut off more on one side is cut after the fact.
    found = torch.ops.aten.convolution(x, weight, bias, steps, least, dilations, True, list(more), call.get("group", 1))
    for axis in range(axes):
        start, end = before[axis] - least[axis], after[axis] - least[axis]
        found = found.narrow(2 + axis, start, found.shape[2 + axis] - start - end)
    return found


def _max_pool(call: Call, x: Any) -> Any:
    import torch

    if len(call.node.output) > 1 and call.node.output[1]:
        raise call.refuse("indices")
    window = call.get("kernel_shape")
    steps, dilations, before, after = _ends(call, x, window)
    pool = getattr(torch.nn.functional, f"max_pool{len(window)}d")
    if before != after or any(2 * pad > size for pad, size in zip(before, window, strict=True)):
        x, before = _padded(x, before, after, -math.inf), [0] * len(before)
    return pool(x, window, steps, before, dilations, bool(call.get("ceil_mode", 0)))


def _average_pool(call: Call, x: Any) -> Any:
    import torch

    window = call.get("kernel_shape")
    steps, dilations, before, after = _ends(call, x, window)
    if any(gap != 1 for gap in dilations):
        raise call.refuse("dilations")
    pool = getattr(torch.nn.functional, f"avg_pool{len(window)}d")
    rounded_up, counted = bool(call.get("ceil_mode", 0)), bool(call.get("count_include_pad", 0))
    if before == after and not any(2 * pad > size for pad, size in zip(before, window, strict=True)):
        return pool(x, window, steps, before, rounded_up, counted)
    found = pool(_padded(x, before, after), window, steps, 0, rounded_up)
    if counted:
        return found
    return found / pool(_padded(torch.ones_like(x), before, after), window, steps, 0, rounded_up)


def _lp_pool(call: Call, x: Any) -> Any:
    import torch

    window, power = call.get("kernel_shape"), call.get("p", 2)
    steps, _, before, after = _ends(call, x, window)
    pool = getattr(torch.nn.functional, f"avg_pool{len(window)}d")
    count = math.prod(window)
    return (pool(_padded(x.abs() ** power, before, after), window, steps) * count) ** (1 / power)


def _global(function: str) -> Operator:
    def run(call: Call, x: Any) -> Any:
        import torch

        return getattr(torch, function)(x, list(range(2, x.ndim)), keepdim=True)

    return run


def _depth_to_space(call: Call, x: Any) -> Any:
    batch, channels, height, width = x.shape
    size = call.get("blocksize")
    own = channels // size**2
    if call.get("mode", "DCR") == "CRD":
        x = x.reshape(batch, own, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    else:
        x = x.reshape(batch, size, size, own, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, own, height * size, width * size)


def _space_to_depth(call: Call, x: Any) -> Any:
    batch, channels, height, width = x.shape
    size = call.get("blocksize")
    x = x.reshape(batch, channels, height // size, size, width // size, size).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, channels * size**2, height // size, width // size)


def _resize(call: Call, x: Any, *given: Any) -> Any:
    """Along each axis by a matrix, or by index for the nearest: every mode that the standard has but one."""
    import numpy as np
    import torch

    place = 1 if call.node.op_type == "Upsample" or call.opset < 11 else 2
    scales = call.get("scales") if call.node.op_type == "Upsample" and call.opset < 9 else None
    if scales is None and call.has(place) and call.numbers(place).size:
        scales = [float(one) for one in call.numbers(place).reshape(-1)]
    sizes = call.integers(3) if scales is None else None
    axes = call.get("axes", list(range(x.ndim)))
    if call.get("keep_aspect_ratio_policy", "stretch") != "stretch" or call.get("antialias", 0):
        raise call.refuse("antialias or aspect ratio")
    for number, axis in enumerate(axes):
        old = x.shape[axis]
        scale = scales[number] if scales is not None else sizes[number] / old  # type: ignore[index]
        new = math.floor(old * scale) if scales is not None else sizes[number]  # type: ignore[index]
        if new == old and scale == 1:
            continue
        matrix = _weights(call, old, new, scale)
        if ((matrix == 1).sum(1) == 1).all() and ((matrix != 0).sum(1) == 1).all():
            x = torch.index_select(x, axis, torch.from_numpy(matrix.argmax(1)))
        else:
            product = torch.from_numpy(matrix.astype(np.float32))
            x = (x.transpose(axis, -1) @ product.T).transpose(axis, -1)
    return x


def _weights(call: Call, old: int, new: int, scale: float) -> Any:
    """[new, old]: how much each old pixel adds to each new one."""
    import numpy as np

    mode = call.get("mode", "nearest")
    old_style = call.opset < 11 or call.node.op_type == "Upsample"
    how = "asymmetric" if old_style else call.get("coordinate_transformation_mode", "half_pixel")
    target = np.arange(new, dtype=np.float64)
    if how == "align_corners":
        place = target * (old - 1) / (new - 1) if new > 1 else np.zeros(1)
    elif how == "asymmetric":
        place = target / scale
    elif how == "half_pixel" or (how == "pytorch_half_pixel" and new > 1):
        place = (target + 0.5) / scale - 0.5
    elif how == "pytorch_half_pixel":
        place = np.zeros(1)
    else:
        raise call.refuse(how)
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    if mode == "nearest":
        rounding = "floor" if old_style else call.get("nearest_mode", "round_prefer_floor")
        nearest = {
            "floor": np.floor(place),
            "ceil": np.ceil(place),
            "round_prefer_floor": np.ceil(place - 0.5),
            "round_prefer_ceil": np.floor(place + 0.5),
        }[rounding]
        matrix[rows, nearest.clip(0, old - 1).astype(int)] = 1
        return matrix
    if mode not in ("linear", "cubic"):
        raise call.refuse(mode)
    floor = np.floor(place)
    for shift in (0, 1) if mode == "linear" else (-1, 0, 1, 2):
        distance = np.abs(place - (floor + shift))
        weight = 1 - distance if mode == "linear" else _cubic(distance, call.get("cubic_coeff_a", -0.75))
        if mode == "cubic" and call.get("exclude_outside", 0):
            raise call.refuse("exclude_outside")
        np.add.at(matrix, (rows, (floor + shift).clip(0, old - 1).astype(int)), weight)
    return matrix


def _cubic(distance: Any, a: float) -> Any:
    import numpy as np

    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _grid_sample(call: Call, x: Any, grid: Any) -> Any:
    import torch

    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(call.get("mode", "bilinear"), call.get("mode", "bilinear"))
    return torch.nn.functional.grid_sample(
        x, grid, mode, call.get("padding_mode", "zeros"), bool(call.get("align_corners", 0))
    )


def _col2im(call: Call, x: Any, size: Any, block: Any) -> Any:
    import torch

    axes = 2
    pads = call.get("pads", [0] * 2 * axes)
    if pads[:axes] != pads[axes:]:
        raise call.refuse("unequal pads")
    wanted, window = (tuple(call.integers(place) or ()) for place in (1, 2))
    steps, gaps = call.get("strides", [1] * axes), call.get("dilations", [1] * axes)
    return torch.nn.functional.fold(x, wanted, window, gaps, pads[:axes], steps)


TABLE: dict[str, Operator] = {
    **{"Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _max_pool, "AveragePool": _average_pool},
    **{"LpPool": _lp_pool, "GlobalAveragePool": _global("mean"), "GlobalMaxPool": _global("amax")},
    **{"DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "Resize": _resize, "Upsample": _resize},
    **{"GridSample": _grid_sample, "Col2Im": _col2im},
}
