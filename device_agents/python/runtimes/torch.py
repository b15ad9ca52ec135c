"""PyTorch: an exported program (.pt2), on the CPU or on CUDA.

One inference is input in host memory to output in host memory, synchronised: what an application waits for.
"""

SUFFIX = ".pt2"
WHEELS = {}  # gigabytes: never brought, only used where it is
TINY_MODEL = ""


def facts(options):
    import torch

    _check_device(torch, options)
    known = {"version": torch.__version__, "cuda": torch.version.cuda or ""}
    if torch.cuda.is_available():
        known["gpu"] = torch.cuda.get_device_name()
    return known


def load(path, options):
    return _Session(path, options)


def gpu_allocated():
    """What torch's allocator holds for tensors, now and at most since the last reset; the driver sees more."""
    import torch

    now, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    return {"gpu_allocated_bytes": now, "gpu_allocated_high_water_bytes": most}


def reset_gpu_high_water():
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def _check_device(torch, options):
    if options["device"] == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no GPU here: torch.cuda.is_available() is False")


class _Session:
    def __init__(self, path, options):
        import torch

        torch.set_num_threads(options["threads"])
        # TF32 would round fp32 inputs to 10 bits: another precision than the artifact's name says.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._torch = torch
        self._device = torch.device(options["device"])
        program = torch.export.load(path)
        example = program.example_inputs[0][0]
        self._model = program.module().to(self._device)
        pinned = self._device.type == "cuda"
        self._input = torch.zeros(example.shape, dtype=example.dtype, pin_memory=pinned)
        with torch.inference_mode():
            result = self._model(self._input.to(self._device))
        self._output = torch.zeros(result.shape, dtype=result.dtype, pin_memory=pinned)
        self.invoke = self._invoke_on_gpu if pinned else self._invoke_on_cpu

    def _invoke_on_gpu(self):
        with self._torch.inference_mode():
            result = self._model(self._input.to(self._device, non_blocking=True))
            self._output.copy_(result, non_blocking=True)
        self._torch.cuda.synchronize()

    def _invoke_on_cpu(self):
        with self._torch.inference_mode():
            self._output = self._model(self._input)

    def inputs(self):
        size = self._input.numel() * self._input.element_size()
        dtype = str(self._input.dtype).rpartition(".")[2]
        return [{"name": "input", "shape": list(self._input.shape), "dtype": dtype, "bytes": size}]

    def feed(self, index, data):
        fed = self._torch.frombuffer(bytearray(data), dtype=self._input.dtype)
        self._input.copy_(fed.reshape(self._input.shape))

    def logits(self):
        return self._output.float().flatten().tolist()

    def notes(self):
        return {"device": str(self._device)}
