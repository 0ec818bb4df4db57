"""Plans on a CUDA device, as far as NVIDIA's two libraries are alike: with NumPy and cuda-bindings alone.

Every call of the libraries goes through one small protocol (`driver`), so that all else, from shapes to
recordings, can be tested where there is no GPU.
"""
