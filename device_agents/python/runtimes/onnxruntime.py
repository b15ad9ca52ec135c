"""ONNX Runtime, on the CPU or through CUDA.

With CUDA it fails closed: a node that would fall back to the CPU is an error, not a slower result.
Inputs and outputs are bound (I/O binding) to host memory, so that a GPU is charged for its transfers.
"""

import functools

SUFFIX = ".onnx"
WHEELS = {"onnxruntime": "", "numpy": ""}
# y = relu(x), one float; IR 8, opset 13.
TINY_MODEL = "CAgSADo7CgwKAXgSAXkiBFJlbHUSAWdaEwoBeBIOCgwIARIICgIIAQoCCAFiEwoBeRIOCgwIARIICgIIAQoCCAFCBAoAEA0="

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# TF32 would round fp32 inputs to 10 bits: another precision than the artifact's name says.
_PROVIDER_OPTIONS = {"cpu": {}, "cuda": {"use_tf32": "0"}}
_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int8)": "int8",
    "tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool",
}  # fmt: skip


def facts(options):
    import onnxruntime

    if _PROVIDERS[options["device"]] not in onnxruntime.get_available_providers():
        raise RuntimeError("this onnxruntime has no %s; pip install onnxruntime-gpu" % _PROVIDERS[options["device"]])
    return {"version": onnxruntime.__version__, "build": onnxruntime.get_build_info()[:200]}


def load(path, options):
    return _Session(path, options)


class _Session:
    def __init__(self, path, options):
        import numpy
        import onnxruntime

        self._numpy = numpy
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options["threads"]
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        provider = _PROVIDERS[options["device"]]
        if options["device"] != "cpu":
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._session = onnxruntime.InferenceSession(
            path, settings, providers=[(provider, _PROVIDER_OPTIONS[options["device"]])]
        )
        if self._session.get_providers()[0] != provider:
            raise RuntimeError("asked for %s, got %s" % (provider, self._session.get_providers()))
        self._on_gpu = options["device"] != "cpu"
        self._bind()

    def _bind(self):
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        self._specs = [_spec(node, self._numpy) for node in self._session.get_inputs()]
        self._inputs = []
        for spec in self._specs:
            value = OrtValue.ortvalue_from_numpy(self._numpy.zeros(spec["shape"], spec["dtype"]))
            binding.bind_ortvalue_input(spec["name"], value)
            self._inputs.append(value)
        feeds = {spec["name"]: self._numpy.zeros(spec["shape"], spec["dtype"]) for spec in self._specs}
        # One plain run tells the shapes of the outputs where the file leaves them open.
        self._outputs = []
        for node, result in zip(self._session.get_outputs(), self._session.run(None, feeds)):
            value = OrtValue.ortvalue_from_numpy(result)
            binding.bind_ortvalue_output(node.name, value)
            self._outputs.append(value)
        self._binding = binding
        self.invoke = functools.partial(self._session.run_with_iobinding, binding)
        if self._on_gpu:
            self.invoke = self._invoke_on_gpu

    def _invoke_on_gpu(self):
        """Binding is what copies an input to a GPU: it has to be done again for each inference."""
        for spec, value in zip(self._specs, self._inputs):
            self._binding.bind_ortvalue_input(spec["name"], value)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def inputs(self):
        return self._specs

    def feed(self, index, data):
        spec = self._specs[index]
        self._inputs[index].update_inplace(self._numpy.frombuffer(data, spec["dtype"]).reshape(spec["shape"]))

    def logits(self):
        return self._outputs[0].numpy().astype("float32").ravel().tolist()

    def notes(self):
        return {"providers": self._session.get_providers()}


def _spec(node, numpy):
    """Open dimensions (batch) become 1: single-stream."""
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise ValueError("input '%s' is a %s, which cannot be fed" % (node.name, node.type))
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in node.shape]
    count = int(numpy.prod(shape)) if shape else 1
    return {"name": node.name, "shape": shape, "dtype": dtype, "bytes": count * numpy.dtype(dtype).itemsize}
