"""The moving average of the weights: what is evaluated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A copy of a network that follows it slowly; faster at first, so that it forgets the beginning."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self._decay = decay

    @torch.no_grad()
    def follow(self, network: nn.Module, iteration: int) -> None:
        """Move the average a step towards the network."""
        keep = min(self._decay, (iteration + 1) / (iteration + 10))
        theirs = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(list(self.network.parameters()), theirs, 1 - keep)
