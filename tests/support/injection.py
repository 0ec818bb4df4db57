"""Inputs for DepthwiseInject, the truth about them, and how far from it a form may be."""

import functools

import numpy as np
import torch

from dit4sr.kernels.depthwise_inject import reference
from dit4sr.kernels.depthwise_inject import torch_op as operator


def inputs(rows, height, width, channels, *, dtype=torch.float32, strided=False, seed=0):
    draw = torch.Generator().manual_seed(seed)

    def stream(*spare):
        # Strided: a corner of something larger in every direction, and of other strides than its fellow.
        room = [
            size + more * strided for size, more in zip((rows, height, width, channels), spare, strict=True)
        ]
        wider = (3 * torch.randn(room, generator=draw)).to(dtype)
        return wider[:rows, :height, :width, :channels]

    noise, lr = stream(0, 1, 0, 16), stream(1, 0, 2, 8)
    weight, bias = (torch.randn(*size, channels, generator=draw).to(dtype) for size in ((3, 3), ()))
    return noise, lr, weight, bias


def truth(*tensors):
    return reference.depthwise_inject(*(tensor.double().numpy() for tensor in tensors))


def error(found, expected):
    return np.abs(torch.as_tensor(found).double().numpy() - expected).max()


def allowed_error(tensors):
    """Twice what eager torch errs on the same tensors, or usually errs in their type if that is more."""
    here = error(operator.depthwise_inject(*tensors), truth(*tensors))
    return 2 * max(here, usual_error(tensors[0].dtype))


@functools.cache
def usual_error(dtype):
    """What eager torch errs over enough values that luck is out of the question."""
    tensors = inputs(2, 32, 32, 64, dtype=dtype)
    return error(operator.depthwise_inject(*tensors), truth(*tensors))
