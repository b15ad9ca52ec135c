"""Networks as torch modules on their way to TFLite: from .onnx graphs, and without what litert-torch lacks."""
