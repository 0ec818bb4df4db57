"""Types of numbers that networks compute in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in FP32 at least, as statistics want it even where the tokens are half."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
