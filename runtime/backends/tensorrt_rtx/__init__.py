"""TensorRT for RTX: plans that are built without a GPU, and finished on the one they run on."""

NAME = "tensorrt-rtx"
TARGETS = (75, 80, 86, 89, 120, 121)
"""Every compute capability that it knows. Hopper, and Blackwell of data centres, are not among them."""
