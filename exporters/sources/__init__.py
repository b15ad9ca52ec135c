"""Networks that an export starts from: checkpoints, .onnx files, Keras, and modules of the user's own."""
