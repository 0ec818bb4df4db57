"""DepthwiseInject as a torch operator: `torch.ops.dit4sr.depthwise_inject`.

Plain torch on the CPU, Triton on CUDA; one opaque node to `torch.compile` and `torch.export`.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

__all__ = ["depthwise_inject"]


def composed(noise: Tensor, lr: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Add the filtered LR stream to the noise stream; both are `[R, h, w, C]`."""
    filters = weight.permute(2, 0, 1).unsqueeze(1)
    filtered = F.conv2d(lr.permute(0, 3, 1, 2), filters, bias, padding=1, groups=len(filters))
    return noise + filtered.permute(0, 2, 3, 1)


depthwise_inject = torch.library.custom_op("dit4sr::depthwise_inject", composed, mutates_args=())


@depthwise_inject.register_fake
def _(noise: Tensor, lr: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    channels = noise.shape[3]
    torch._check(
        lr.shape == noise.shape,
        lambda: f"both streams must be [R, h, w, C], found {tuple(noise.shape)} and {tuple(lr.shape)}",
    )
    torch._check(
        weight.shape == (3, 3, channels) and bias.shape == (channels,),
        lambda: (
            f"expected weight [3, 3, {channels}] and bias [{channels}], "
            f"found {tuple(weight.shape)} and {tuple(bias.shape)}"
        ),
    )
    return noise.new_empty(noise.shape)


@depthwise_inject.register_kernel("cuda")
def _(noise: Tensor, lr: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from dit4sr.kernels.depthwise_inject import kernel  # noqa: PLC0415  (Triton is needed on CUDA alone)

    return kernel.launch(noise, lr, weight, bias)


@register_flop_formula(torch.ops.dit4sr.depthwise_inject)
def depthwise_inject_flops(noise: Sequence[int], *_others: Sequence[int], **_out: Any) -> int:
    """Count two operations for each of the nine taps of every value of the noise stream."""
    rows, height, width, channels = noise
    return 2 * 9 * rows * height * width * channels
