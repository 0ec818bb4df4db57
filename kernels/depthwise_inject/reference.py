"""DepthwiseInject in NumPy: the truth that every other form is held to."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["depthwise_inject"]

Array = NDArray[np.floating]


def depthwise_inject(noise: Array, lr: Array, weight: Array, bias: Array) -> Array:
    """Add the filtered LR stream to the noise stream; both are `[R, h, w, C]`.

    `weight [3, 3, C]` is indexed tap row, tap column, channel, and correlates as torch's `conv2d` does.
    Everything is computed in the arguments' own dtype: pass FP64 to get the truth.
    """
    height, width = lr.shape[1:3]
    padded = np.pad(lr, ((0, 0), (1, 1), (1, 1), (0, 0)))
    injected = noise + bias
    for row in range(3):
        for column in range(3):
            injected = injected + weight[row, column] * padded[:, row : row + height, column : column + width]
    return injected
