"""PyTorch: an exported program (.pt2), on the CPU or on CUDA.

One inference is input in host memory to output in host memory, synchronised: what an application waits for.
"""

from __future__ import annotations

import functools
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

SUFFIXES = (".pt2",)
WHEELS: dict[str, str] = {}  # gigabytes: never sent, only used where it is installed
TINY_MODEL = ""

_PRECISIONS = {
    "torch.float32": "f32", "torch.float16": "f16", "torch.bfloat16": "bf16", "torch.float64": "f64",
    "torch.int8": "i8", "torch.uint8": "u8",
}  # fmt: skip


def facts(options: dict[str, Any]) -> dict[str, str]:
    import torch

    _check_device(torch, options)
    known = {"version": torch.__version__, "cuda": torch.version.cuda or ""}
    if torch.cuda.is_available():
        known["gpu"] = torch.cuda.get_device_name()
    return known


def load(path: str, options: dict[str, Any]) -> _TorchSession:
    return _TorchSession(path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> _NodeByNode:
    return _NodeByNode(path, options)


def product(kind: str, size: int, options: dict[str, Any], scratch: Path) -> Callable[[], object] | None:
    """By oneDNN, which computes convolutions: torch.mm is MKL's, half as fast on processors of other firms."""
    import torch

    if kind != "float":
        return None
    torch.set_num_threads(options["threads"])
    first, second = (torch.full((size, size), 0.01) for _ in range(2))
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return functools.partial(torch.ops.aten.mkldnn_linear, first.to_mkldnn(), second)
    return functools.partial(torch.mm, first, second)


def gpu_allocated() -> dict[str, int]:
    """What torch's allocator holds for tensors, now and at most since the last reset; the driver sees more."""
    import torch

    now, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    return {"gpu_allocated_bytes": now, "gpu_allocated_high_water_bytes": most}


def reset_gpu_high_water() -> None:
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()


def _check_device(torch: Any, options: dict[str, Any]) -> None:
    if options["device"] not in ("cpu", "cuda"):
        raise RuntimeError("this runtime has no device '%s'" % options["device"])
    if options["device"] == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no GPU here: torch.cuda.is_available() is False")


class _TorchSession:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        import torch

        self._answer: Any = None  # on the CPU: of the last inference
        # set_num_threads fills a second pool, whose kernels (QNNPACK's) no exported program calls (2.14).
        self.helpers = options["threads"] - 1
        torch.set_num_threads(options["threads"])
        # TF32 would round fp32 inputs to 10 bits: another precision than the artifact's name says.
        self._tf32 = options.get("precision") == "fast"
        torch.backends.cudnn.allow_tf32 = self._tf32
        torch.backends.cuda.matmul.allow_tf32 = self._tf32
        self._torch = torch
        self._device = torch.device(options["device"])
        program = torch.export.load(path)
        self._model = program.module().to(self._device)
        pinned = self._device.type == "cuda"
        self._names, examples = _examples(torch, program)
        unknown = set(options.get("shapes", {})) - {"", *self._names}
        if unknown:
            raise ValueError("it has no input '%s', only %s" % (sorted(unknown)[0], ", ".join(self._names)))
        shapes = [_sized(name, one, options.get("shapes", {})) for name, one in zip(self._names, examples)]
        self._inputs = [torch.zeros(shape, dtype=one.dtype, pin_memory=pinned) for one, shape in zip(examples, shapes)]
        with torch.inference_mode():
            results = self._arrays(self._model(*(one.to(self._device) for one in self._inputs)))
        self._outputs = [torch.zeros(one.shape, dtype=one.dtype, pin_memory=pinned) for one in results]
        self.invoke = self._invoke_on_gpu if pinned else self._invoke_on_cpu

    def _arrays(self, answer: Any) -> list[Any]:
        """Networks answer with one array, or with several in tuples, lists or dictionaries."""
        if isinstance(answer, self._torch.Tensor):
            return [answer]
        if answer is None:
            return []
        return [one for part in (answer.values() if isinstance(answer, dict) else answer) for one in self._arrays(part)]

    def _invoke_on_gpu(self) -> None:
        with self._torch.inference_mode():
            fed = [one.to(self._device, non_blocking=True) for one in self._inputs]
            for held, result in zip(self._outputs, self._arrays(self._model(*fed))):
                held.copy_(result, non_blocking=True)
        self._torch.cuda.synchronize()

    def _invoke_on_cpu(self) -> None:
        with self._torch.inference_mode():
            self._answer = self._model(*self._inputs)

    def inputs(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "shape": list(one.shape),
                "dtype": str(one.dtype).rpartition(".")[2],
                "bytes": one.numel() * one.element_size(),
            }
            for name, one in zip(self._names, self._inputs)
        ]

    def feed(self, index: int, data: bytes) -> None:
        held = self._inputs[index]
        fed = self._torch.frombuffer(bytearray(data), dtype=held.dtype)
        held.copy_(fed.reshape(held.shape))

    def arrays(self) -> list[Any]:
        outputs = self._outputs if self._answer is None else self._arrays(self._answer)
        return [(one.float() if one.is_floating_point() else one).numpy() for one in outputs]

    def notes(self) -> dict[str, Any]:
        asked = {"precision": {"asked": {"allow_tf32": self._tf32}}} if self._device.type == "cuda" else {}
        return {"device": str(self._device), **asked}


class _NodeByNode(_TorchSession):
    """Runs the program's graph node by node, as its module does, and times each; on a GPU by events in its stream."""

    CUT = True

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        super().__init__(path, options)
        torch = self._torch
        clock = time.perf_counter_ns if self._device.type == "cpu" else functools.partial(_event, torch)
        spent: dict[Any, list[Any]] = {}
        shapes: dict[Any, list[int]] = {}
        self._spent, self._shapes = spent, shapes

        class Timed(torch.fx.Interpreter):  # type: ignore[misc, name-defined]
            def run_node(self, node: Any) -> Any:
                if node.op != "call_function":
                    return super().run_node(node)
                started = clock()
                result = super().run_node(node)
                spent.setdefault(node, []).append((started, clock()))
                shapes[node] = list(result.shape) if isinstance(result, torch.Tensor) else []
                return result

        self._model = Timed(self._model).run

    def begin_layers(self) -> None:
        self._spent.clear()

    def layers(self, count: int) -> list[dict[str, Any]]:
        found = []
        for node, times in self._spent.items():
            _, _, kind = str(node.target).partition("aten.")
            if kind:  # else Python's own, which picks one of several results
                value = node.meta.get("val")
                found.append({
                    "name": node.name, "kind": kind.split(".")[0], "kernel": str(node.target),
                    "precision": _PRECISIONS.get(str(getattr(value, "dtype", "")), ""), "parents": _modules(node),
                    "shape": self._shapes[node], "ns": [_between_ns(*pair) for pair in times[-count:]],
                })  # fmt: skip
        return found


def _event(torch: Any) -> Any:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between_ns(started: Any, ended: Any) -> float:
    spent = ended - started if isinstance(started, int) else 1e6 * started.elapsed_time(ended)
    return float(spent)


def _modules(node: Any) -> list[str]:
    """The innermost module of the network that the node is of."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return [str(stack[-1][0])] if stack and stack[-1][0] else []


def _examples(torch: Any, program: Any) -> tuple[list[str], list[Any]]:
    """The names of a program's inputs, and the arrays that it was exported with."""
    positional, named = program.example_inputs
    examples = list(positional)
    if named or not all(isinstance(one, torch.Tensor) for one in examples):
        raise ValueError("it takes more than arrays by position, which cannot be fed")
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    return (names if len(names) == len(examples) else ["input %d" % i for i in range(len(examples))]), examples


def _sized(name: str, example: Any, shapes: dict[str, Sequence[int]]) -> list[int]:
    """The sizes that were given, else those that the file was exported with."""
    given = shapes.get(name, shapes.get("", example.shape))
    if len(given) != len(example.shape):
        raise ValueError("input '%s' is %s, not %s" % (name, list(example.shape), list(given)))
    return list(given)
