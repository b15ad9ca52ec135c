"""An .onnx graph for `arithmetic.affine`: batch norms, and products and sums with one number for each channel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from exporters.arithmetic.affine import Affine, is_kind_to

if TYPE_CHECKING:
    import numpy as np

    from exporters.arithmetic.affine import Float64Array

ARITHMETIC = ("Mul", "Add", "Sub", "Div")
FLAT = 2  # axes: images, features


class OnnxGraph:
    """A graph with the types of its tensors; changed in place."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        values = [*graph.input, *graph.value_info, *graph.output]
        self._shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in values}
        self._answers = {port.name for port in graph.output}

    # ------------------------------------------------------------------ finding them

    def affines(self) -> list[Affine]:
        found = []
        for node in self.graph.node:
            numbers = self._numbers_of(node)
            if numbers is not None:
                source, scale, shift = numbers
                norm = node.op_type == "BatchNormalization"
                found.append(Affine(node, source, node.output[0], scale, shift, norm=norm))
        return found

    def _numbers_of(self, node: Any) -> tuple[str, Float64Array, Float64Array] | None:
        """(input, scale, shift), None for any other operator."""
        import numpy as np

        if node.op_type == "BatchNormalization":
            if not all(self._is_known(name) for name in node.input[1:5]) or len(node.output) > 1:
                return None
            gain, shift, mean, variance = (self._array(name) for name in node.input[1:5])
            scale = gain / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
            return node.input[0], scale, shift - mean * scale
        if node.op_type not in ARITHMETIC or len(node.input) != 2:
            return None
        constant = next((place for place in (0, 1) if node.input[place] in self._tensors), None)
        if constant is None or (node.op_type == "Div" and constant == 0):
            return None
        source = node.input[1 - constant]
        number = self._per_channel(node.input[constant], source, node.output[0])
        if number is None:
            return None
        one, none = np.ones(1), np.zeros(1)
        if node.op_type == "Mul":
            return source, number, none
        if node.op_type == "Div":
            return (source, 1 / number, none) if number.all() else None
        if node.op_type == "Add":
            return source, one, number
        return (source, one, -number) if constant == 1 else (source, -one, number)

    def _per_channel(self, constant: str, source: str, result: str) -> Float64Array | None:
        shape = self._shapes.get(source, [])
        tensor = self._tensors[constant]
        if len(shape) < FLAT or shape[1] <= 0 or not self._is_known(constant):
            return None
        if source in self._tensors or self._shapes.get(result, shape) != shape or len(tensor.dims) > len(shape):
            return None
        sizes = [1] * (len(shape) - len(tensor.dims)) + list(tensor.dims)
        if any(size != 1 for axis, size in enumerate(sizes) if axis != 1) or sizes[1] not in (1, shape[1]):
            return None
        return self._array(constant).reshape(-1)

    def _is_known(self, name: str) -> bool:
        """Whether it is a float32 constant."""
        from onnx import TensorProto

        return name in self._tensors and self._tensors[name].data_type == TensorProto.FLOAT

    def _array(self, name: str) -> Float64Array:
        import numpy as np
        from onnx import numpy_helper

        return numpy_helper.to_array(self._tensors[name]).astype(np.float64)

    def writer(self, tensor: str) -> Any:
        return next((node for node in self.graph.node if tensor in node.output), None)

    def readers(self, tensor: str) -> list[Any]:
        return [node for node in self.graph.node for name in node.input if name == tensor]

    def is_answer(self, tensor: str) -> bool:
        return tensor in self._answers

    def result(self, node: Any) -> str:
        return str(node.output[0])

    # ------------------------------------------------------------------ into the layers around it

    def fold_behind(self, node: Any, affine: Affine) -> bool:
        import numpy as np

        if not self._has_weights(node):
            return False
        weight = self._array(node.input[1])
        outputs = self._outputs(node, weight)
        scale, shift = (np.broadcast_to(numbers, outputs) for numbers in (affine.scale, affine.shift))
        if node.op_type == "MatMul" and shift.any() and len(self._shapes.get(node.input[0], ())) != FLAT:
            return False
        bias = self._bias(node, outputs) * scale + shift
        if node.op_type == "Conv":
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        elif node.op_type == "ConvTranspose":
            groups = int(_attribute(node, "group", 1))
            split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
            weight = (split * scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
        else:
            weight = weight * (scale.reshape(-1, 1) if _attribute(node, "transB", 0) else scale)
        self._hold(node, weight, bias)
        self.graph.node.remove(affine.node)
        node.output[0] = affine.result
        return True

    def _has_weights(self, node: Any) -> bool:
        """Whether it is a layer whose weights, and bias if it has one, are known."""
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul") or len(node.output) != 1:
            return False
        known = all(self._is_known(name) for name in node.input[1:] if name)
        if node.op_type == "MatMul":
            return known and len(self._tensors[node.input[1]].dims) == FLAT
        plain = all(_attribute(node, name, 1) == 1 for name in ("alpha", "beta")) and not _attribute(node, "transA", 0)
        return known and (node.op_type != "Gemm" or plain)

    def _outputs(self, node: Any, weight: np.ndarray) -> int:
        if node.op_type == "Conv":
            return int(weight.shape[0])
        if node.op_type == "ConvTranspose":
            return int(weight.shape[1]) * int(_attribute(node, "group", 1))
        return int(weight.shape[0 if _attribute(node, "transB", 0) else 1])

    def _bias(self, node: Any, outputs: int) -> Float64Array:
        import numpy as np

        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(outputs)
        return np.broadcast_to(self._array(node.input[2]).reshape(-1), outputs)

    def _hold(self, node: Any, weight: Float64Array, bias: Float64Array) -> None:
        """Give a layer constants of its own: other operators may read the old ones."""
        had_bias = len(node.input) > 2 and bool(node.input[2])
        del node.input[2:]
        node.input[1] = self._constant(f"{node.name}/weight", weight)
        if had_bias or bias.any():
            node.input.append(self._constant(f"{node.name}/bias", bias))
            if node.op_type == "MatMul":
                node.op_type = "Gemm"

    def _constant(self, name: str, numbers: Float64Array) -> str:
        import numpy as np
        from onnx import numpy_helper

        while name in self._tensors:
            name += "_"
        self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(numbers, np.float32), name)
        self.graph.initializer.append(self._tensors[name])
        return name

    def takes(self, node: Any, tensor: str, affine: Affine) -> bool:
        if not self._has_weights(node) or list(node.input).count(tensor) != 1 or node.input[0] != tensor:
            return False
        if node.op_type == "MatMul" and len(self._shapes.get(tensor, ())) != FLAT:
            return False
        if node.op_type == "ConvTranspose":
            return not affine.shift.any()
        if node.op_type == "Conv" and affine.shift.any() and _pads(node, self._tensors[node.input[1]]):
            return False
        weight = self._array(node.input[1])
        if node.op_type == "Conv":
            split, shape = _by_group(node, weight)
            return is_kind_to(split.reshape(*split.shape[:3], -1), _spread(affine.scale, (*shape[:3], 1)))
        flat = weight.T if not _attribute(node, "transB", 0) else weight
        return is_kind_to(flat[..., None], _spread(affine.scale, (flat.shape[1], 1)))

    def fold_before(self, node: Any, tensor: str, affine: Affine) -> None:
        import numpy as np

        weight = self._array(node.input[1])
        bias = self._bias(node, self._outputs(node, weight))
        if node.op_type in ("Gemm", "MatMul"):
            turned = bool(_attribute(node, "transB", 0))
            flat = weight.T if turned else weight
            scale, shift = (np.broadcast_to(numbers, len(flat)) for numbers in (affine.scale, affine.shift))
            bias, flat = bias + shift @ flat, flat * scale[:, None]
            self._hold(node, flat.T if turned else flat, bias)
            return
        if node.op_type == "ConvTranspose":
            self._hold(node, weight * _spread(affine.scale, (len(weight), *[1] * (weight.ndim - 1))), bias)
            return
        split, shape = _by_group(node, weight)
        scale, shift = (_spread(numbers, shape) for numbers in (affine.scale, affine.shift))
        bias = bias + (split * shift).sum(tuple(range(2, split.ndim))).reshape(-1)
        self._hold(node, (split * scale).reshape(weight.shape), bias)

    def passed(self, node: Any, tensor: str, affine: Affine) -> Affine | None:
        """Commutes with means within the image, with maxima if the order is kept, and with flattening."""
        import numpy as np

        rising = bool((affine.scale >= 0).all())
        if node.op_type in ("GlobalAveragePool", "Identity") or (node.op_type == "GlobalMaxPool" and rising):
            return affine
        if node.op_type == "AveragePool":
            edges = any(_attribute(node, "pads", [])) or _attribute(node, "ceil_mode", 0)
            return None if edges and _attribute(node, "count_include_pad", 0) else affine
        if node.op_type == "MaxPool":
            return affine if rising and len(node.output) == 1 else None
        if node.op_type == "Relu":
            return affine if rising and not affine.shift.any() else None
        shape, answer = self._shapes.get(tensor, []), self._shapes.get(node.output[0], [])
        if node.op_type == "ReduceMean" and len(shape) > FLAT and shape[1] > 0:
            axes = _attribute(node, "axes", [])
            return affine if axes and all(axis % len(shape) >= FLAT for axis in axes) else None
        if node.op_type in ("Flatten", "Reshape") and len(answer) == FLAT <= len(shape) and all(shape[1:]):
            if answer[1] != np.prod(shape[1:]):
                return None
            each = int(np.prod(shape[2:]))
            scale, shift = (
                np.repeat(np.broadcast_to(numbers, shape[1]), each) for numbers in (affine.scale, affine.shift)
            )
            return Affine(affine.node, affine.source, affine.result, scale, shift)
        return None

    def bypass(self, affine: Affine) -> None:
        self.graph.node.remove(affine.node)
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                if name == affine.result:
                    node.input[place] = affine.source

    def merge(self, first: Affine, second: Affine) -> None:
        self.graph.node.remove(second.node)
        first.node.output[0] = second.result

    # ------------------------------------------------------------------ what is left

    def as_layer(self, affine: Affine) -> bool:
        import numpy as np
        from onnx import helper

        shape = self._shapes.get(affine.source) or self._shapes.get(affine.result, [])
        if len(shape) > FLAT and shape[1] > 0:
            scale, shift = (np.broadcast_to(numbers, shape[1]) for numbers in (affine.scale, affine.shift))
            weight = self._constant(f"{affine.node.name}/scale", scale.reshape(-1, *[1] * (len(shape) - 1)))
            bias = self._constant(f"{affine.node.name}/shift", shift)
            node = helper.make_node("Conv", [affine.source, weight, bias], [affine.result], affine.node.name)
            node.attribute.append(helper.make_attribute("group", shape[1]))
            node.attribute.append(helper.make_attribute("kernel_shape", [1] * (len(shape) - FLAT)))
            self._replace(affine.node, [node])
            return True
        if not affine.written:
            scaled = f"{affine.result}/scaled"
            factor, addend = (
                self._constant(f"{affine.node.name}/{name}", numbers)
                for name, numbers in (("scale", affine.scale), ("shift", affine.shift))
            )
            self._replace(
                affine.node,
                [
                    helper.make_node("Mul", [affine.source, factor], [scaled], f"{affine.node.name}/scale"),
                    helper.make_node("Add", [scaled, addend], [affine.result], f"{affine.node.name}/shift"),
                ],
            )
        return False

    def _replace(self, old: Any, new: list[Any]) -> None:
        place = list(self.graph.node).index(old)
        self.graph.node.remove(old)
        for node in reversed(new):
            self.graph.node.insert(place, node)

    def drop_unread(self) -> None:
        written = {name for node in self.graph.node for name in node.output}
        known = [value for value in self.graph.value_info if value.name in written]
        del self.graph.value_info[:]
        self.graph.value_info.extend(known)
        read = {name for node in self.graph.node for name in node.input} | self._answers
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def _by_group(node: Any, weight: Float64Array) -> tuple[Float64Array, tuple[int, ...]]:
    """Weights of a convolution as [groups, outputs, channels, ...], and the shape for one number per channel."""
    groups = int(_attribute(node, "group", 1))
    split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return split, (groups, 1, weight.shape[1], *[1] * (weight.ndim - 2))


def _spread(numbers: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """Numbers for each channel, or one for all, in `shape`, which has as many elements as there are channels."""
    import numpy as np

    return np.broadcast_to(numbers, math.prod(shape)).reshape(shape)


def _pads(node: Any, weight: Any) -> bool:
    """Whether it may pad the image with zeros."""
    auto = _attribute(node, "auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        return any(size != 1 for size in weight.dims[2:])
    return auto != b"VALID" and any(_attribute(node, "pads", []))


def _attribute(node: Any, name: str, missing: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), missing)
