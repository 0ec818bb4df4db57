"""DepthwiseInject in NumPy: the truth that every other form is held to."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["depthwise_inject", "gelu_tanh"]

Array = NDArray[np.floating]


def gelu_tanh(x: Array) -> Array:
    """GELU in its tanh approximation, as the feed-forward layers were trained with."""
    slope = math.sqrt(2 / math.pi)
    activated: Array = 0.5 * x * (1 + np.tanh(slope * (x + 0.044715 * x**3)))
    return activated


def depthwise_inject(u: Array, weight: Array, bias: Array) -> Array:
    """Activate both streams of `u [R, 2, h, w, C]` and add the filtered LR stream to the noise stream.

    `weight [3, 3, C]` is indexed tap row, tap column, channel, and correlates as torch's `conv2d` does.
    Everything is computed in the arguments' own dtype: pass FP64 to get the truth.
    """
    height, width = u.shape[2:4]
    activated = gelu_tanh(u)
    padded = np.pad(activated[:, 1], ((0, 0), (1, 1), (1, 1), (0, 0)))
    noise = activated[:, 0] + bias
    for row in range(3):
        for column in range(3):
            noise = noise + weight[row, column] * padded[:, row : row + height, column : column + width]
    return np.stack([noise, activated[:, 1]], axis=1)
