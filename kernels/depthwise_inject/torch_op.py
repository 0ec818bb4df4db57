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


def composed(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Activate both streams of `u [R, 2, h, w, C]` and add the filtered LR stream to the noise stream."""
    noise, photo = F.gelu(u, approximate="tanh").unbind(1)
    filters = weight.permute(2, 0, 1).unsqueeze(1)
    filtered = F.conv2d(photo.permute(0, 3, 1, 2), filters, bias, padding=1, groups=len(filters))
    return torch.stack([noise + filtered.permute(0, 2, 3, 1), photo], dim=1)


depthwise_inject = torch.library.custom_op("dit4sr::depthwise_inject", composed, mutates_args=())


@depthwise_inject.register_fake
def _(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    channels = u.shape[4]
    torch._check(u.shape[1] == 2, lambda: f"u must be [R, 2, h, w, C], found {tuple(u.shape)}")
    torch._check(
        weight.shape == (3, 3, channels) and bias.shape == (channels,),
        lambda: (
            f"expected weight [3, 3, {channels}] and bias [{channels}], "
            f"found {tuple(weight.shape)} and {tuple(bias.shape)}"
        ),
    )
    return u.new_empty(u.shape)


@depthwise_inject.register_kernel("cuda")
def _(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from dit4sr.kernels.depthwise_inject import kernel  # noqa: PLC0415  (Triton is needed on CUDA alone)

    return kernel.launch(u, weight, bias)


@register_flop_formula(torch.ops.dit4sr.depthwise_inject)
def depthwise_inject_flops(u: Sequence[int], *_weights: Sequence[int], **_out: Any) -> int:
    """Count two operations for each of the nine taps of every value of the noise stream."""
    rows, _, height, width, channels = u
    return 2 * 9 * rows * height * width * channels
