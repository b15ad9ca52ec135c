"""What each operator of ONNX does, in torch. Each function gets the call and its inputs, and returns the outputs."""

from __future__ import annotations

import operator
from typing import Any

from exporters.torch_edit import onnx_images, onnx_shapes
from exporters.torch_edit.onnx_call import Call, Operator

# ------------------------------------------------------------------ arithmetic


def _of_two(function: str) -> Operator:
    def run(call: Call, left: Any, right: Any) -> Any:
        import torch

        return getattr(torch, function)(left, right)

    return run


def _of_one(function: str) -> Operator:
    def run(call: Call, x: Any) -> Any:
        import torch

        where: Any = torch if hasattr(torch, function) else torch.nn.functional
        return getattr(where, function)(x)

    return run


def _of_many(function: str) -> Operator:
    def run(call: Call, first: Any, *others: Any) -> Any:
        import torch

        for other in others:
            first = getattr(torch, function)(first, other)
        return first

    return run


def _divide(call: Call, left: Any, right: Any) -> Any:
    import torch

    return torch.div(left, right, rounding_mode=None if left.is_floating_point() else "trunc")


def _mod(call: Call, left: Any, right: Any) -> Any:
    import torch

    return torch.fmod(left, right) if call.get("fmod", 0) else torch.remainder(left, right)


def _mean_of(call: Call, *given: Any) -> Any:
    return sum(given[1:], given[0]) / len(given)


def _clip(call: Call, x: Any, low: Any = None, high: Any = None) -> Any:
    import torch

    low, high = (call.get(name) if given is None else given for name, given in (("min", low), ("max", high)))
    for bound, function in ((low, torch.maximum), (high, torch.minimum)):
        if bound is not None:
            x = function(x, torch.as_tensor(bound, dtype=x.dtype))
    return x


def _leaky(call: Call, x: Any) -> Any:
    import torch

    return torch.nn.functional.leaky_relu(x, call.get("alpha", 0.01))


def _prelu(call: Call, x: Any, slope: Any) -> Any:
    import torch

    return torch.where(x < 0, slope * x, x)


def _hard_sigmoid(call: Call, x: Any) -> Any:
    return (x * call.get("alpha", 0.2) + call.get("beta", 0.5)).clamp(0, 1)


def _elu(call: Call, x: Any) -> Any:
    import torch

    return torch.nn.functional.elu(x, call.get("alpha", 1.0))


def _celu(call: Call, x: Any) -> Any:
    import torch

    return torch.nn.functional.celu(x, call.get("alpha", 1.0))


def _selu(call: Call, x: Any) -> Any:
    import torch

    alpha, gamma = call.get("alpha", 1.6732631921768188), call.get("gamma", 1.0507010221481323)
    return gamma * torch.where(x > 0, x, alpha * (x.clamp(max=0).exp() - 1))


def _gelu(call: Call, x: Any) -> Any:
    import torch

    return torch.nn.functional.gelu(x, approximate=call.get("approximate", "none"))


def _shrink(call: Call, x: Any) -> Any:
    import torch

    edge, bias = call.get("lambd", 0.5), call.get("bias", 0.0)
    return torch.where(x < -edge, x + bias, torch.where(x > edge, x - bias, torch.zeros_like(x)))


def _thresholded(call: Call, x: Any) -> Any:
    return x * (x > call.get("alpha", 1.0))


def _softmax(call: Call, x: Any) -> Any:
    return _over_axis(call, x, "softmax")


def _log_softmax(call: Call, x: Any) -> Any:
    return _over_axis(call, x, "log_softmax")


def _over_axis(call: Call, x: Any, function: str) -> Any:
    """Up to opset 12 over all axes from `axis` on, as one."""
    import torch

    axis = call.get("axis", -1 if call.opset >= 13 else 1)
    run = getattr(torch, function)
    if call.opset >= 13:
        return run(x, axis)
    return run(x.flatten(axis % x.ndim), -1).reshape(x.shape)


def _cast(call: Call, x: Any) -> Any:
    import torch
    from onnx import helper

    kind = helper.tensor_dtype_to_np_dtype(call.get("to"))
    return x.to(getattr(torch, str(kind)))


def _where(call: Call, condition: Any, left: Any, right: Any) -> Any:
    import torch

    return torch.where(condition, left, right)


def _equal(call: Call, left: Any, right: Any) -> Any:
    return operator.eq(left, right)


# ------------------------------------------------------------------ products


def _gemm(call: Call, a: Any, b: Any, c: Any = None) -> Any:
    import torch

    a = a.T if call.get("transA", 0) else a
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    if alpha == beta == 1.0 and call.get("transB", 0) and (c is None or c.ndim == 1):
        return torch.nn.functional.linear(a, b, c)
    found = a @ (b.T if call.get("transB", 0) else b)
    found = found if alpha == 1.0 else found * alpha
    return found if c is None else found + (c if beta == 1.0 else c * beta)


def _einsum(call: Call, *given: Any) -> Any:
    import torch

    return torch.einsum(call.get("equation"), *given)


# ------------------------------------------------------------------ norms


def _batch_norm(call: Call, x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    import torch

    return torch.nn.functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, call.get("epsilon", 1e-5))


def _instance_norm(call: Call, x: Any, scale: Any, bias: Any) -> Any:
    import torch

    return torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=call.get("epsilon", 1e-5))


def _group_norm(call: Call, x: Any, scale: Any, bias: Any) -> Any:
    import torch

    groups, eps = call.get("num_groups"), call.get("epsilon", 1e-5)
    if call.opset >= 21:
        return torch.nn.functional.group_norm(x, groups, scale, bias, eps)
    channels = x.shape[1]
    if len(scale) != channels:
        scale, bias = (one.repeat_interleave(channels // groups) for one in (scale, bias))
    return torch.nn.functional.group_norm(x, groups, scale, bias, eps)


def _layer_norm(call: Call, x: Any, scale: Any, bias: Any = None) -> Any:
    import torch

    shape = list(x.shape[call.get("axis", -1) % x.ndim :])
    scale = scale.expand(shape)
    bias = None if bias is None else bias.expand(shape)
    return torch.nn.functional.layer_norm(x, shape, scale, bias, call.get("epsilon", 1e-5))


def _local_response(call: Call, x: Any) -> Any:
    import torch

    size, alpha = call.get("size"), call.get("alpha", 1e-4)
    before = (size - 1) // 2
    squares = torch.nn.functional.pad(x * x, (0, 0) * (x.ndim - 2) + (before, size - 1 - before))
    total = sum((squares.narrow(1, place, x.shape[1]) for place in range(1, size)), squares.narrow(1, 0, x.shape[1]))
    return x / (call.get("bias", 1.0) + alpha / size * total) ** call.get("beta", 0.75)


def _lp_norm(call: Call, x: Any) -> Any:
    import torch

    axis, power = call.get("axis", -1), call.get("p", 2)
    return x / torch.linalg.vector_norm(x, power, axis, keepdim=True)


# ------------------------------------------------------------------ along axes


def _reduce(function: str) -> Operator:
    def run(call: Call, x: Any, axes: Any = None) -> Any:
        import torch

        chosen = call.integers(1, "axes")
        if chosen is None and call.get("noop_with_empty_axes", 0):
            return x
        chosen = list(range(x.ndim)) if not chosen else [axis % x.ndim for axis in chosen]
        keep = bool(call.get("keepdims", 1))
        if function == "prod":
            for axis in sorted(chosen, reverse=True):
                x = torch.prod(x, axis, keepdim=keep)
            return x
        found = {"l1": x.abs(), "l2": x * x, "sum_square": x * x, "log_sum": x}.get(function, x)
        run = getattr(torch, {"l1": "sum", "l2": "sum", "sum_square": "sum", "log_sum": "sum"}.get(function, function))
        found = run(found, chosen, keepdim=keep)
        return found.sqrt() if function == "l2" else found.log() if function == "log_sum" else found

    return run


def _arg(function: str) -> Operator:
    def run(call: Call, x: Any) -> Any:
        import torch

        if call.get("select_last_index", 0):
            raise call.refuse("last index")
        return getattr(torch, function)(x, call.get("axis", 0), keepdim=bool(call.get("keepdims", 1)))

    return run


def _top_k(call: Call, x: Any, k: Any) -> Any:
    import torch

    return torch.topk(x, int(call.numbers(1).reshape(-1)[0]), call.get("axis", -1), bool(call.get("largest", 1)))


def _cumulative(call: Call, x: Any, axis: Any) -> Any:
    import torch

    axis = int(call.numbers(1).reshape(-1)[0])
    x = x.flip(axis) if call.get("reverse", 0) else x
    found = torch.cumsum(x, axis) - (x if call.get("exclusive", 0) else 0)
    return found.flip(axis) if call.get("reverse", 0) else found


def _trilu(call: Call, x: Any, k: Any = None) -> Any:
    import torch

    offset = int(call.numbers(1).reshape(-1)[0]) if call.has(1) else 0
    return torch.triu(x, offset) if call.get("upper", 1) else torch.tril(x, offset)


def _same(call: Call, x: Any, *others: Any) -> Any:
    return x


_SPELT_ALIKE = (
    *("Relu", "Sigmoid", "Tanh", "Softplus", "Mish", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Floor"),
    *("Ceil", "Round", "Sign", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
)


def _table() -> dict[str, Operator]:
    twos = {"Add": "add", "Sub": "sub", "Mul": "mul", "Pow": "pow", "MatMul": "matmul", "Greater": "gt", "Less": "lt"}
    twos |= {"GreaterOrEqual": "ge", "LessOrEqual": "le", "And": "logical_and", "Or": "logical_or"}
    twos |= {"Xor": "logical_xor"}
    ones = {name: name.lower() for name in _SPELT_ALIKE}
    ones |= {"Neg": "neg", "Not": "logical_not", "IsNaN": "isnan", "IsInf": "isinf", "Softsign": "softsign"}
    ones |= {"HardSwish": "hardswish"}
    reductions = {"Mean": "mean", "Sum": "sum", "Max": "amax", "Min": "amin", "Prod": "prod", "L1": "l1", "L2": "l2"}
    reductions |= {"LogSumExp": "logsumexp", "SumSquare": "sum_square", "LogSum": "log_sum"}
    return {
        **{name: _of_two(function) for name, function in twos.items()},
        **{name: _of_one(function) for name, function in ones.items()},
        **{f"Reduce{name}": _reduce(function) for name, function in reductions.items()},
        **{name: _of_many(f"{name.lower()}imum") for name in ("Max", "Min")},
        **{"Sum": _of_many("add"), "Mean": _mean_of, "Div": _divide, "Mod": _mod, "Clip": _clip, "Equal": _equal},
        **{"LeakyRelu": _leaky, "PRelu": _prelu, "HardSigmoid": _hard_sigmoid, "Elu": _elu, "Celu": _celu},
        **{"Selu": _selu, "Gelu": _gelu, "Shrink": _shrink, "ThresholdedRelu": _thresholded, "Softmax": _softmax},
        **{"LogSoftmax": _log_softmax, "Cast": _cast, "Where": _where, "Gemm": _gemm, "Einsum": _einsum},
        **{"BatchNormalization": _batch_norm, "InstanceNormalization": _instance_norm, "LRN": _local_response},
        **{"GroupNormalization": _group_norm, "LayerNormalization": _layer_norm, "LpNormalization": _lp_norm},
        **{"ArgMax": _arg("argmax"), "ArgMin": _arg("argmin"), "TopK": _top_k, "CumSum": _cumulative, "Trilu": _trilu},
        **{"Identity": _same, "Dropout": _same},
        **onnx_images.TABLE,
        **onnx_shapes.TABLE,
    }


OPERATORS = _table()
