"""The feed-forward of a stream."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.sizes import TokenSizes


class GeluProjection(nn.Module):
    """The first linear layer of an MLP and its activation."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Project tokens, then apply tanh-GELU."""
        return F.gelu(self.proj(tokens), approximate="tanh")


class FeedForward(nn.Module):
    """A stream's MLP: two linear layers, tanh-GELU between them."""

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        # The released keys are "net.0" and "net.2"; "net.1" was a dropout.
        self.net = nn.ModuleDict(
            {
                "0": GeluProjection(sizes.width, sizes.hidden_width),
                "2": nn.Linear(sizes.hidden_width, sizes.width),
            }
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Widen tokens, activate them, and narrow them again."""
        return self.contract(self.expand(tokens))

    def expand(self, tokens: Tensor) -> Tensor:
        """Widen tokens and activate them."""
        hidden: Tensor = self.net["0"](tokens)
        return hidden

    def contract(self, hidden: Tensor) -> Tensor:
        """Narrow hidden tokens to the width of the stream."""
        tokens: Tensor = self.net["2"](hidden)
        return tokens
