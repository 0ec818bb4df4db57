"""TensorRT: runs plans that were built on a GPU like the one they run on."""

NAME = "tensorrt"
