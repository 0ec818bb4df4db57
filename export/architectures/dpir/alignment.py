"""Feature alignment: the LQ branch's features, brought to the mean and spread of the main branch's.

``η(f; μ, σ) = (f − mean(f)) / sqrt(var(f) + ε) · σ + μ``, with μ and σ those of the tokens that the features
join. What f is shifted by, and what positive number it is multiplied with, is lost on the way, as far as its
variance is large beside ε.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dit4sr.export.architectures.dpir.config import Statistics
from dit4sr.export.architectures.dtypes import at_least_single


def standardised(features: Tensor, statistics: Statistics, epsilon: float) -> Tensor:
    """Bring features ``[R, N, D]`` to mean zero and spread one: the half that asks for no other branch."""
    precise = at_least_single(features)
    mean = precise.mean(statistics.axes, keepdim=True)
    variance = (precise - mean).square().mean(statistics.axes, keepdim=True)
    return ((precise - mean) * torch.rsqrt(variance + epsilon)).to(features.dtype)


def given_statistics_of(main: Tensor, standard: Tensor, statistics: Statistics) -> Tensor:
    """Give standardised features the mean and spread of the main branch's tokens ``[R, N, D]``."""
    precise = at_least_single(main)
    mean = precise.mean(statistics.axes, keepdim=True)
    spread = (precise - mean).square().mean(statistics.axes, keepdim=True).sqrt()
    return (at_least_single(standard) * spread + mean).to(main.dtype)


def aligned_in_numpy(
    features: NDArray[np.float64], main: NDArray[np.float64], statistics: Statistics, epsilon: float
) -> NDArray[np.float64]:
    """The formula as it stands, in NumPy: what the two halves in torch are held against."""
    axes = statistics.axes
    own_mean, own_variance = features.mean(axes, keepdims=True), features.var(axes, keepdims=True)
    mean, spread = main.mean(axes, keepdims=True), main.std(axes, keepdims=True)
    aligned: NDArray[np.float64] = (features - own_mean) / np.sqrt(own_variance + epsilon) * spread + mean
    return aligned
