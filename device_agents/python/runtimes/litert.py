"""LiteRT (ai-edge-litert), the present name of TensorFlow Lite's runtime, on the CPU with XNNPACK."""

import importlib

SUFFIX = ".tflite"
WHEELS = {"ai-edge-litert": "", "numpy": ""}
# y = relu(x), one float.
TINY_MODEL = (
    "HAAAAFRGTDMUACAAHAAYABQAEAAMAAAACAAEABQAAAAcAAAAHAAAAHQAAAAkAQAANAEAADwCAAADAAAAAAAAAAIAAAA0AAAABAAAANz///8EAA"
    "AABAAAABMAAABDT05WRVJTSU9OX01FVEFEQVRBAAgADAAIAAQACAAAAAMAAAAEAAAAEwAAAG1pbl9ydW50aW1lX3ZlcnNpb24ABQAAAKwAAACk"
    "AAAAnAAAAHwAAAAEAAAAkv///wQAAABgAAAAEAAAAAAAAAAIAA4ACAAEAAgAAAAQAAAAJAAAAAAABgAIAAQABgAAAAQAAAAAAAAADAAYABQAEA"
    "AMAAQADAAAAKGJchAZJCDfAwAAAAIAAAAEAAAABgAAADIuMjEuMAAAAAAGAAgABAAGAAAABAAAABAAAAAxLjUuMAAAAAAAAAAAAAAA8P7///T+"
    "///4/v//DwAAAE1MSVIgQ29udmVydGVkLgABAAAAFAAAAAAADgAYABQAEAAMAAgABAAOAAAAFAAAABwAAABIAAAATAAAAFAAAAAEAAAAbWFpbg"
    "AAAAABAAAAEAAAAAAACgAMAAAACAAEAAoAAAAIAAAADAAAAAEAAAABAAAAAQAAAAAAAAABAAAAAQAAAAEAAAAAAAAAAgAAAFgAAAAEAAAAxv//"
    "/wAAAAEQAAAAEAAAAAIAAAAYAAAAsP///wgAAABJZGVudGl0eQAAAAACAAAAAQAAAAEAAAAAABYAGAAUAAAAEAAMAAgAAAAAAAAABwAWAAAAAA"
    "AAARQAAAAUAAAAAQAAABQAAAAEAAQABAAAAAEAAAB4AAAAAgAAAAEAAAABAAAAAQAAABAAAAAMAAwACwAAAAAABAAMAAAAEwAAAAAAABM="
)


def facts(options):
    import ai_edge_litert

    check_device(options)
    importlib.import_module("ai_edge_litert.interpreter")
    return {"version": getattr(ai_edge_litert, "__version__", None) or installed_version("ai-edge-litert")}


def load(path, options):
    from ai_edge_litert.interpreter import Interpreter

    return InterpreterSession(Interpreter, path, options)


class InterpreterSession:
    """A session on anything with TensorFlow Lite's Interpreter interface."""

    def __init__(self, interpreter_class, path, options):
        import numpy

        self._numpy = numpy
        self._interpreter = interpreter_class(model_path=path, num_threads=options["threads"])
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._output = self._interpreter.get_output_details()[0]
        self.invoke = self._interpreter.invoke

    def inputs(self):
        return [
            {
                "name": detail["name"],
                "shape": [int(size) for size in detail["shape"]],
                "dtype": self._numpy.dtype(detail["dtype"]).name,
                "bytes": int(self._numpy.prod(detail["shape"])) * self._numpy.dtype(detail["dtype"]).itemsize,
            }
            for detail in self._inputs
        ]

    def feed(self, index, data):
        detail = self._inputs[index]
        sample = self._numpy.frombuffer(data, detail["dtype"]).reshape(detail["shape"])
        self._interpreter.set_tensor(detail["index"], sample)

    def logits(self):
        stored = self._interpreter.get_tensor(self._output["index"]).astype("float32")
        scale, zero_point = self._output["quantization"]
        if scale:
            stored = (stored - zero_point) * self._numpy.float32(scale)
        return stored.ravel().tolist()

    def notes(self):
        """Which operators a delegate took; those left out run in the reference or built-in kernels."""
        try:
            operators = [operator["op_name"] for operator in self._interpreter._get_ops_details()]
        except (AttributeError, KeyError):
            return {}
        delegates = sorted({name for name in operators if "Delegate" in name or name == "DELEGATE"})
        return {"delegates": delegates, "operators_in_file_and_delegates": len(operators)}


def check_device(options):
    if options["device"] != "cpu":
        raise RuntimeError("this runtime has no device '%s'" % options["device"])


def installed_version(distribution):
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
