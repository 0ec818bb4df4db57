"""ONNX Runtime: the bundle's graphs as they are, on a CPU or a CUDA device."""

NAME = "onnxruntime"
