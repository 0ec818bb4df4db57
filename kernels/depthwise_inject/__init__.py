"""DepthwiseInject: how the low-resolution photo reaches the noise stream inside every feed-forward layer.

`u [R, 2, h, w, C]` holds the pre-activations of the noise stream (index 0) and the LR stream (index 1).
With `a = gelu_tanh(u)`, the noise half becomes `a[:, 0] + dwconv3x3(a[:, 1]) + bias` (zero padding, one 3×3
filter per channel) and the LR half stays `a[:, 1]`. `reference.py` is the definition; the other modules are
the same operator for torch, Triton, ONNX and TensorRT.
"""
