"""The LQ branch: a few convolutions from the degraded picture's latent to features of the tokens' size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.config import DpirConfig


class LqBranch(nn.Module):
    """Convolutions with SiLU between them; what they end with is aligned, so no norm is needed."""

    def __init__(self, config: DpirConfig, *, last_bias: bool = True) -> None:
        super().__init__()
        kernel, patch, last = config.lq_kernel, config.patch_size, config.lq_convolutions - 1
        widths = [config.in_channels, *[config.lq_width] * last]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[place], config.lq_width, kernel, padding=kernel // 2) for place in range(last)
        )
        self.convolutions.append(
            nn.Conv2d(widths[last], config.width, kernel_size=patch, stride=patch, bias=last_bias)
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Turn a latent ``[R, 16, h, w]`` into features ``[R, N, D]``, row by row."""
        first, *others = self.convolutions
        features: Tensor = first(condition)
        for convolution in others:
            features = convolution(F.silu(features))
        return features.flatten(2).transpose(1, 2)
