"""The AdaLN matrices of all blocks as one, multiplied once with all steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.stack import Stack


def modulations(layer: nn.Linear, steering: Tensor, widths: Sequence[int]) -> tuple[Tensor, ...]:
    """Multiply one network's stacked AdaLN matrices with all steps at once; a tensor for each block."""
    # On rows of one axis the exporter writes the matrices as they are stacked, one after the other.
    made = layer(F.silu(steering).flatten(0, 1)).unflatten(0, steering.shape[:2])
    parts: tuple[Tensor, ...] = made.split(list(widths), dim=-1)
    return parts


def modulation_widths(name: str, stack: Stack, count: int, width: int) -> dict[str, int]:
    """Number of modulation values of each of the first blocks of a stack, the last of them final."""
    return {
        f"{name}.{layer}": width * modulation_chunks(dual=stack.is_dual(layer), final=layer == count - 1)
        for layer in range(count)
    }


def modulation_chunks(*, dual: bool, final: bool) -> int:
    """How many vectors of the tokens' width steer a block."""
    return (9 if dual else 6) + (2 if final else 6)
