"""TensorRT for RTX: plans that are built without a GPU, and finished on the one they run on."""

NAME = "tensorrt-rtx"
