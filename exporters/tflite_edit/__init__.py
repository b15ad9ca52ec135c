"""Changing .tflite files."""
