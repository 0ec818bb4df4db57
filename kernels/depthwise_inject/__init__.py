"""DepthwiseInject: how the low-resolution photo reaches the noise stream inside every feed-forward layer.

`noise` and `lr` `[R, h, w, C]` hold the two streams' hidden tokens, activated. The noise stream becomes
`noise + dwconv3x3(lr) + bias` (zero padding, one 3×3 filter per channel); the LR stream goes on as it is.
GELU is not in here: it belongs to the product before, which then never writes what it has not activated.
`reference.py` is the definition; the other modules are the same for torch, Triton, ONNX and TensorRT.
"""
