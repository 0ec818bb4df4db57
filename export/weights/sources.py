"""Where weights come from: a checkpoint on disk, a state dict in memory, or a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class WeightSource(Protocol):
    """Something that can be asked for a tensor by its checkpoint key."""

    def read(self, key: str) -> Tensor:
        """Read one tensor by its checkpoint key."""


@dataclass(frozen=True)
class StateDict:
    """Weights of a state dict in memory."""

    tensors: Mapping[str, Tensor]

    def read(self, key: str) -> Tensor:
        """Look up one tensor by its checkpoint key."""
        return self.tensors[key]


@dataclass(frozen=True)
class RandomWeights:
    """Weights drawn from a seed, for trying and timing without a checkpoint.

    Each tensor has a stream of its own, so it is the same whatever is read before it. Scales are such that
    activations neither vanish nor blow up through the layers.
    """

    layout: Mapping[str, tuple[int, ...]]
    seed: int

    def read(self, key: str) -> Tensor:
        """Draw one tensor by its checkpoint key."""
        shape = self.layout[key]
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        stream = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        noise = torch.from_numpy(stream.standard_normal(shape, dtype=np.float32))
        if len(shape) > 1:
            return noise.mul_(1 / math.sqrt(math.prod(shape[1:])))
        return noise.mul_(0.1).add_(1.0 if "norm" in key and key.endswith(".weight") else 0.0)
