"""Operators of ONNX that move, cut and repeat numbers, and recurrent ones, in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporters.torch_edit.onnx_call import Call, Operator


def _reshape(call: Call, x: Any, shape: Any = None) -> Any:
    wanted = call.integers(1, "shape")
    assert wanted is not None
    if not call.get("allowzero", 0):
        wanted = [size or x.shape[axis] for axis, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(call: Call, x: Any) -> Any:
    axis = call.get("axis", 1)
    count = 1
    for size in x.shape[: axis % x.ndim if axis < 0 else axis]:
        count *= size
    return x.reshape(count, -1)


def _transpose(call: Call, x: Any) -> Any:
    return x.permute(call.get("perm", list(range(x.ndim))[::-1]))


def _squeeze(call: Call, x: Any, axes: Any = None) -> Any:
    chosen = call.integers(1, "axes")
    chosen = [axis for axis, size in enumerate(x.shape) if size == 1] if chosen is None else chosen
    gone = {axis % x.ndim for axis in chosen}
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in gone])


def _unsqueeze(call: Call, x: Any, axes: Any = None) -> Any:
    chosen = call.integers(1, "axes") or []
    rank = x.ndim + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _concat(call: Call, *given: Any) -> Any:
    import torch

    return torch.cat(given, call.get("axis"))


def _split(call: Call, x: Any, sizes: Any = None) -> Any:
    import torch

    axis, parts = call.get("axis", 0), call.integers(1, "split")
    if parts is None:
        count = len(call.node.output)
        each = -(-x.shape[axis] // count)
        parts = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
    return torch.split(x, parts, axis)


def _slice(call: Call, x: Any, *given: Any) -> Any:
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        taken = range(x.shape[axis])[slice(start, end if end > -(2**31) else None, step)]
        if step < 0:
            x = x.flip(axis)
            last = x.shape[axis] - 1
            taken = range(last - taken.start, last - taken.stop, -taken.step)
        if len(taken):
            whole = (slice(None),) * (axis % x.ndim)
            x = x[(*whole, slice(taken.start, taken.stop, taken.step))]
        else:
            x = x.narrow(axis, 0, 0)
    return x


def _gather(call: Call, x: Any, index: Any) -> Any:
    import torch

    axis = call.get("axis", 0) % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    if index.ndim == 0 and call.node.input[1] in call.known:
        return x.select(axis, int(call.numbers(1)) % x.shape[axis])
    found = torch.index_select(x, axis, index.reshape(-1).long())
    return found.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _gather_elements(call: Call, x: Any, index: Any) -> Any:
    import torch

    axis = call.get("axis", 0)
    return torch.gather(x, axis, torch.where(index < 0, index + x.shape[axis], index))


def _gather_nd(call: Call, x: Any, index: Any) -> Any:
    if call.get("batch_dims", 0):
        raise call.refuse("batch_dims")
    return x[tuple(index.unbind(-1))]


def _scatter_elements(call: Call, x: Any, index: Any, updates: Any) -> Any:
    import torch

    axis, how = call.get("axis", 0), call.get("reduction", "none")
    index = torch.where(index < 0, index + x.shape[axis], index)
    if how == "none":
        return torch.scatter(x, axis, index, updates)
    if how == "add":
        return torch.scatter_add(x, axis, index, updates)
    raise call.refuse(how)


def _scatter_nd(call: Call, x: Any, index: Any, updates: Any) -> Any:
    import torch

    how = call.get("reduction", "none")
    if how not in ("none", "add"):
        raise call.refuse(how)
    return torch.index_put(x, tuple(index.unbind(-1)), updates, accumulate=how == "add")


def _expand(call: Call, x: Any, shape: Any) -> Any:
    wanted = call.integers(1) or []
    rank = max(x.ndim, len(wanted))
    own, wanted = ([1] * (rank - len(sizes)) + sizes for sizes in (list(x.shape), wanted))
    return x.expand([max(pair) if 0 not in pair else 0 for pair in zip(own, wanted, strict=True)])


def _tile(call: Call, x: Any, repeats: Any) -> Any:
    return x.repeat(call.integers(1))


def _pad(call: Call, x: Any, *given: Any) -> Any:
    import torch

    ends, mode = call.integers(1, "pads") or [], call.get("mode", "constant")
    value = float(call.numbers(2).reshape(-1)[0]) if call.has(2) else call.get("value", 0.0)
    axes = call.integers(3) or list(range(x.ndim))
    half = len(ends) // 2
    pairs = {axis % x.ndim: (ends[place], ends[place + half]) for place, axis in enumerate(axes)}
    if mode == "constant":
        flat = [end for axis in reversed(range(x.ndim)) for end in pairs.get(axis, (0, 0))]
        return torch.nn.functional.pad(x, flat, value=value)
    for axis, (before, after) in pairs.items():
        x = _continued(call, x, axis, before, after, mode)
    return x


def _continued(call: Call, x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """Other modes by index: litert-torch lowers a selection, but not every kind of padding."""
    import numpy as np
    import torch

    if before == after == 0:
        return x
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes or before < 0 or after < 0:
        raise call.refuse(mode)
    places = np.pad(np.arange(x.shape[axis]), (before, after), mode=modes[mode])  # type: ignore[call-overload]
    return torch.index_select(x, axis, torch.from_numpy(places))


def _shape(call: Call, x: Any) -> Any:
    import torch

    return torch.tensor(list(x.shape)[call.get("start", 0) : call.get("end", x.ndim)])


def _constant_of_shape(call: Call, shape: Any) -> Any:
    import torch
    from onnx import numpy_helper

    held = call.get("value")
    value = torch.zeros(1) if held is None else torch.from_numpy(numpy_helper.to_array(held).copy())
    return value.expand(call.integers(0) or []).clone()


def _range(call: Call, *given: Any) -> Any:
    import torch

    return torch.arange(*(call.numbers(place).item() for place in range(3)))


def _one_hot(call: Call, index: Any, depth: Any, values: Any) -> Any:
    import torch

    count, axis = int(call.numbers(1).reshape(-1)[0]), call.get("axis", -1)
    hot = torch.where(index < 0, index + count, index).unsqueeze(axis)
    shape = [1] * hot.ndim
    shape[axis] = count
    return torch.where(hot == torch.arange(count).reshape(shape), values[1], values[0])


def _recurrent(kind: str) -> Operator:
    """LSTM, GRU, RNN. Gates come in another order in torch: i o f c and z r h there, i f c o and r z h here."""
    order = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}[kind]

    def run(call: Call, x: Any, weight: Any, recurrence: Any, bias: Any = None, *more: Any) -> Any:
        import torch

        size, direction = call.get("hidden_size"), call.get("direction", "forward")
        usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[kind]
        activations = [one.decode() for one in call.get("activations", [])] or usual * len(weight)
        if activations != usual * len(weight) or call.get("layout", 0) or call.get("clip") or call.has(7):
            raise call.refuse("activations, layout, clip or peepholes")
        if kind == "GRU" and not call.get("linear_before_reset", 0):
            raise call.refuse("reset before the product")
        if call.has(4) and not (call.numbers(4) == x.shape[0]).all():
            raise call.refuse("sequences of several lengths")

        def gates(one: Any) -> Any:
            parts = one.chunk(len(order), 0)
            return torch.cat([parts[place] for place in order], 0)

        bias = x.new_zeros(len(weight), 2 * len(order) * size) if bias is None else bias
        held = []
        for own, back, added in zip(weight, recurrence, bias, strict=True):
            held += [gates(own), gates(back), *(gates(half) for half in added.chunk(2, 0))]
        begin = [one if one is not None else x.new_zeros(len(weight), x.shape[1], size) for one in more[1:3]]
        begin += [x.new_zeros(len(weight), x.shape[1], size)] * (2 - len(begin))
        x = x.flip(0) if direction == "reverse" else x
        both = direction == "bidirectional"
        function: Any = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN": torch.rnn_tanh}[kind]
        state = begin if kind == "LSTM" else begin[0]
        found, *last = function(x, state, held, True, 1, 0.0, False, both, False)
        found = found.flip(0) if direction == "reverse" else found
        steps, batch = found.shape[:2]
        return (found.reshape(steps, batch, len(weight), size).transpose(1, 2), *last)

    return run


TABLE: dict[str, Operator] = {
    **{"Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose, "Squeeze": _squeeze},
    **{"Unsqueeze": _unsqueeze, "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather},
    **{"GatherElements": _gather_elements, "GatherND": _gather_nd, "ScatterElements": _scatter_elements},
    **{"ScatterND": _scatter_nd, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Shape": _shape},
    **{"ConstantOfShape": _constant_of_shape, "Range": _range, "OneHot": _one_hot},
    **{kind: _recurrent(kind) for kind in ("LSTM", "GRU", "RNN")},
}
