"""A .tflite graph for `arithmetic.affine`: converters write a batch norm as up to four operators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from exporters.arithmetic.affine import Affine, is_kind_to

if TYPE_CHECKING:
    from exporters.arithmetic.affine import Float64Array

ARITHMETIC = ("MUL", "ADD", "SUB", "DIV")
IMAGE = 4  # axes: images, height, width, channels


class TfliteGraph:
    """The only graph of a model as an object (`flatbuffer`); changed in place. Tensors are referred to by number."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model = model
        self.graph = model.subgraphs[0]
        self._schema = schema
        self._kinds: dict[int, str] = {
            code: kind for kind, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
        }

    def _kind(self, node: Any) -> str:
        return self._kinds.get(self.model.operatorCodes[node.opcodeIndex].builtinCode, "")

    def _shape(self, tensor: int) -> list[int]:
        shape = self.graph.tensors[tensor].shape
        return [] if shape is None else [int(size) for size in shape]

    def _is_constant(self, tensor: int) -> bool:
        return tensor >= 0 and self.model.buffers[self.graph.tensors[tensor].buffer].data is not None

    def _array(self, tensor: int) -> Float64Array:
        import numpy as np

        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return np.frombuffer(bytes(data), "<f4").astype(np.float64).reshape(self._shape(tensor))

    def _is_float(self, tensor: int) -> bool:
        return bool(self.graph.tensors[tensor].type == self._schema.TensorType.FLOAT32)

    def _activation(self, node: Any) -> int:
        return int(getattr(node.builtinOptions, "fusedActivationFunction", 0) or 0)

    # ------------------------------------------------------------------ finding them

    def affines(self) -> list[Affine]:
        found = []
        for node in self.graph.operators:
            numbers = self._numbers_of(node)
            if numbers is not None:
                source, scale, shift = numbers
                found.append(Affine(node, source, node.outputs[0], scale, shift, bounded=self._activation(node) != 0))
        return found

    def _numbers_of(self, node: Any) -> tuple[int, Float64Array, Float64Array] | None:
        """(input, scale, shift), None for any other operator."""
        import numpy as np

        kind = self._kind(node)
        if kind not in ARITHMETIC or len(node.inputs) != 2:
            return None
        constant = next((place for place in (0, 1) if self._is_constant(node.inputs[place])), None)
        if constant is None or (kind == "DIV" and constant == 0):
            return None
        held, source = int(node.inputs[constant]), int(node.inputs[1 - constant])
        shape, sizes = self._shape(source), self._shape(held)
        if not self._is_float(held) or self._is_constant(source) or len(shape) < 2:
            return None
        if self._shape(node.outputs[0]) != shape or any(size != 1 for size in sizes[:-1]):
            return None
        number, one, none = self._array(held).reshape(-1), np.ones(1), np.zeros(1)
        if len(number) not in (1, shape[-1]):
            return None
        if kind == "MUL":
            return source, number, none
        if kind == "DIV":
            return (source, 1 / number, none) if number.all() else None
        if kind == "ADD":
            return source, one, number
        return (source, one, -number) if constant == 1 else (source, -one, number)

    def writer(self, tensor: int) -> Any:
        return next((node for node in self.graph.operators if tensor in node.outputs), None)

    def readers(self, tensor: int) -> list[Any]:
        return [node for node in self.graph.operators for name in node.inputs if name == tensor]

    def is_answer(self, tensor: int) -> bool:
        return tensor in self.graph.outputs

    def result(self, node: Any) -> int:
        return int(node.outputs[0])

    # ------------------------------------------------------------------ into the layers around it

    def fold_behind(self, node: Any, affine: Affine) -> bool:
        import numpy as np

        if not self._has_weights(node) or self._activation(node):
            return False
        weight = self._array(node.inputs[1])
        axis = weight.ndim - 1 if self._kind(node) == "DEPTHWISE_CONV_2D" else 0
        outputs = weight.shape[axis]
        scale, shift = (np.broadcast_to(numbers, outputs) for numbers in (affine.scale, affine.shift))
        shape = [1] * weight.ndim
        shape[axis] = outputs
        self._hold(node, weight * scale.reshape(shape), self._bias(node, outputs) * scale + shift)
        node.builtinOptions.fusedActivationFunction = self._activation(affine.node)
        self._remove(affine.node)
        node.outputs = [affine.result]
        return True

    def _has_weights(self, node: Any) -> bool:
        """Whether it is a layer whose weights, and bias if it has one, are known."""
        if self._kind(node) not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            return False
        given = [tensor for tensor in node.inputs[1:] if tensor >= 0]
        return all(self._is_constant(tensor) and self._is_float(tensor) for tensor in given)

    def _bias(self, node: Any, outputs: int) -> Float64Array:
        import numpy as np

        return self._array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] >= 0 else np.zeros(outputs)

    def _hold(self, node: Any, weight: Float64Array, bias: Float64Array) -> None:
        """Give a layer tensors of its own: others may read the old ones."""
        given = [int(node.inputs[0]), self._constant(f"{self._name(node)}/weight", weight)]
        if bias.any() or (len(node.inputs) > 2 and node.inputs[2] >= 0):
            given.append(self._constant(f"{self._name(node)}/bias", bias))
        node.inputs = given

    def _name(self, node: Any) -> str:
        return str(self.graph.tensors[node.outputs[0]].name, "utf-8")

    def _constant(self, name: str, numbers: Any) -> int:
        """An array becomes float32, a list int32."""
        import numpy as np

        is_list = isinstance(numbers, list)
        array = np.ascontiguousarray(numbers, "<i4" if is_list else "<f4")

        names = {tensor.name for tensor in self.graph.tensors}
        while name.encode() in names:
            name += "_"
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = self._schema.TensorT()
        types = self._schema.TensorType
        tensor.name, tensor.type = name.encode(), types.INT32 if is_list else types.FLOAT32
        tensor.shape, tensor.hasRank = list(array.shape), True
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def takes(self, node: Any, tensor: int, affine: Affine) -> bool:
        import numpy as np

        if not self._has_weights(node) or node.inputs[0] != tensor:
            return False
        shape, channels = self._shape(node.inputs[1]), self._shape(tensor)[-1]
        if shape[-1] != channels:  # groups, or several filters a channel
            return False
        if self._kind(node) != "FULLY_CONNECTED":
            pads = node.builtinOptions.padding == self._schema.Padding.SAME and shape[1:3] != [1, 1]
            if pads and affine.shift.any():
                return False
        if self._kind(node) == "DEPTHWISE_CONV_2D":
            return True
        weight = np.moveaxis(self._array(node.inputs[1]), -1, 1).reshape(shape[0], channels, -1)
        return is_kind_to(weight, np.broadcast_to(affine.scale, channels)[:, None])

    def fold_before(self, node: Any, tensor: int, affine: Affine) -> None:
        import numpy as np

        weight = self._array(node.inputs[1])
        channels = weight.shape[-1]
        scale, shift = (np.broadcast_to(numbers, channels) for numbers in (affine.scale, affine.shift))
        moved = weight * shift
        if self._kind(node) == "DEPTHWISE_CONV_2D":
            outputs, added = channels, moved.sum((0, 1, 2))
        else:
            outputs, added = len(weight), moved.reshape(len(weight), -1).sum(1)
        self._hold(node, weight * scale, self._bias(node, outputs) + added)

    def passed(self, node: Any, tensor: int, affine: Affine) -> Affine | None:
        """Commutes with means and sums within the image, with maxima if the order is kept, and with flattening."""
        import numpy as np

        kind, rising = self._kind(node), bool((affine.scale >= 0).all())
        shape, answer = self._shape(tensor), self._shape(node.outputs[0])
        if self._activation(node):
            return None
        if kind == "AVERAGE_POOL_2D" or (kind == "MAX_POOL_2D" and rising):
            return affine
        if kind == "RELU" or (kind == "PAD" and self._pads_image(node)):
            return affine if (rising or kind == "PAD") and not affine.shift.any() else None
        if kind in ("MEAN", "SUM") and len(shape) == IMAGE:
            axes = {axis % IMAGE for axis in self._integers(node.inputs[1])}
            if not axes or not axes <= {1, 2}:
                return None
            count = 1 if kind == "MEAN" else np.prod([shape[axis] for axis in axes])
            return Affine(affine.node, affine.source, affine.result, affine.scale, affine.shift * count)
        if kind == "RESHAPE" and answer[-1] % shape[-1] == 0 and np.prod(shape[:-1]) >= answer[-1] // shape[-1]:
            each = answer[-1] // shape[-1]
            scale, shift = (np.tile(np.broadcast_to(one, shape[-1]), each) for one in (affine.scale, affine.shift))
            return Affine(affine.node, affine.source, affine.result, scale, shift)
        return None

    def _pads_image(self, node: Any) -> bool:
        """Whether it adds only zeros around the image, and no channels."""
        ends = self._integers(node.inputs[1])
        return len(ends) == 2 * IMAGE and not any((*ends[:2], *ends[6:]))

    def _integers(self, tensor: int) -> list[int]:
        import numpy as np

        if not self._is_constant(tensor) or self.graph.tensors[tensor].type != self._schema.TensorType.INT32:
            return []
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return [int(number) for number in np.frombuffer(bytes(data), "<i4")]

    def bypass(self, affine: Affine) -> None:
        self._remove(affine.node)
        for node in self.graph.operators:
            node.inputs = [affine.source if tensor == affine.result else int(tensor) for tensor in node.inputs]

    def merge(self, first: Affine, second: Affine) -> None:
        self._remove(second.node)
        first.node.outputs = [second.result]
        first.node.builtinOptions.fusedActivationFunction = self._activation(second.node)

    def _remove(self, node: Any) -> None:
        self.graph.operators = [other for other in self.graph.operators if other is not node]

    def drop_unread(self) -> None:
        """Drop unread constants; their tensors stay, empty, because tensors are referred to by number."""
        read = {tensor for node in self.graph.operators for tensor in (*node.inputs, *node.outputs)}
        read |= {*self.graph.inputs, *self.graph.outputs}
        for number, tensor in enumerate(self.graph.tensors):
            if number not in read:
                tensor.buffer = 0  # the empty one, by the format
        kept = {tensor.buffer for graph in self.model.subgraphs for tensor in graph.tensors}
        kept |= {entry.buffer for entry in self.model.metadata or []}
        for number, buffer in enumerate(self.model.buffers):
            if number not in kept:
                buffer.data = None

    # ------------------------------------------------------------------ what is left

    def as_layer(self, affine: Affine) -> bool:
        import numpy as np

        shape, schema = self._shape(affine.source), self._schema
        activation = self._activation(affine.node)
        channels = shape[-1]
        scale, shift = (np.broadcast_to(numbers, channels) for numbers in (affine.scale, affine.shift))
        place = next(index for index, node in enumerate(self.graph.operators) if node is affine.node)
        name = self._name(affine.node)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideW, options.strideH = schema.Padding.VALID, 1, 1
        options.depthMultiplier, options.dilationWFactor, options.dilationHFactor = 1, 1, 1
        options.fusedActivationFunction = activation
        weight = self._constant(f"{name}/scale", scale.reshape(1, 1, 1, channels))
        bias = self._constant(f"{name}/shift", shift)
        layer = ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", options)
        if len(shape) == IMAGE:
            self.graph.operators[place] = self._operator(*layer, [affine.source, weight, bias], affine.result)
            return True
        image = [shape[0], math.prod(shape[1:-1]), 1, channels]
        before, after = (self._tensor_like(affine.result, f"{name}/{end}", image) for end in ("before", "after"))
        self.graph.operators[place : place + 1] = [
            self._reshape(affine.source, before, image),
            self._operator(*layer, [before, weight, bias], after),
            self._reshape(after, affine.result, shape),
        ]
        return True

    def _reshape(self, source: int, result: int, shape: list[int]) -> Any:
        options = self._schema.ReshapeOptionsT()
        options.newShape = shape
        sizes = self._constant(f"{self.graph.tensors[result].name.decode()}/sizes", shape)
        return self._operator("RESHAPE", "ReshapeOptions", options, [source, sizes], result)

    def _tensor_like(self, like: int, name: str, shape: list[int]) -> int:
        tensor, old = self._schema.TensorT(), self.graph.tensors[like]
        tensor.name, tensor.type, tensor.shape, tensor.hasRank = name.encode(), old.type, shape, True
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _operator(self, kind: str, options_kind: str, options: Any, inputs: list[int], output: int) -> Any:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(self._schema.BuiltinOperator, kind))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, options_kind)
        operator.builtinOptions = options
        return operator

    def _code(self, builtin: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if code.builtinCode == builtin:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1
