"""DepthwiseInject as a compiler sees through it, for packages that run where nothing of ours is registered.

An ahead-of-time package cannot call `torch.ops.dit4sr.depthwise_inject`: whoever opens it may have torch and
nothing else. This twin of the operator dissolves while it is compiled, into the Triton kernel on CUDA, whose
binary then lies in the package, and into torch's own operators elsewhere.
"""

import torch
from torch import Tensor

from dit4sr.kernels.depthwise_inject.torch_op import composed

__all__ = ["depthwise_inject"]


@torch.library.triton_op("dit4sr::depthwise_inject_inlined", mutates_args=())
def depthwise_inject(noise: Tensor, lr: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Add the filtered LR stream to the noise stream."""
    if not noise.is_cuda:
        return composed(noise, lr, weight, bias)
    from dit4sr.kernels.depthwise_inject import kernel  # noqa: PLC0415  (Triton is needed on CUDA alone)

    return kernel.launch(noise, lr, weight, bias, through=torch.library.wrap_triton)
