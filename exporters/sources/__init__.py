"""The networks that an export starts from: checkpoints, .onnx files, Keras networks, and the user's own modules."""
