"""Changing .onnx files."""
