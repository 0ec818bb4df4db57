"""TensorRT: runs plans on a CUDA device, with NumPy, TensorRT and cuda-bindings alone.

Every call of the two libraries goes through one small protocol (`driver`), so that all else, from shapes to
recordings, can be tested where there is no GPU.
"""

NAME = "tensorrt"
