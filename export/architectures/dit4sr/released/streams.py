"""The three token streams of a block, and the modulation that lets them in and out of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]
"""Rows and columns of image tokens."""


class Streams(NamedTuple):
    """The tokens of the streams, in the order noise, LR, text; an absent stream is None and stays so."""

    noise: Tensor
    lr: Tensor | None = None
    text: Tensor | None = None

    def each(
        self, image: Callable[[Tensor], Tensor], text: Callable[[Tensor], Tensor] | None = None
    ) -> Streams:
        """Apply one function to the noise and LR streams, one to text; with none for it, text is left out."""
        return Streams(
            image(self.noise),
            None if self.lr is None else image(self.lr),
            None if self.text is None or text is None else text(self.text),
        )

    def plus(self, other: Streams) -> Streams:
        """Add other streams to these, one by one; what ``other`` lacks is left as it is."""

        def add(stream: Tensor | None, output: Tensor | None) -> Tensor | None:
            return stream if stream is None or output is None else stream + output

        return Streams(self.noise + other.noise, add(self.lr, other.lr), add(self.text, other.text))


class Modulation(NamedTuple):
    """How the time and the pooled text steer one layer: AdaLN's shift, scale and, for most, gate."""

    shift: Tensor
    scale: Tensor
    gate: Tensor | None = None

    def enter(self, normed: Tensor) -> Tensor:
        """Scale and shift normalised tokens before they enter the layer."""
        return normed * (1 + self.scale) + self.shift

    def leave(self, output: Tensor) -> Tensor:
        """Weigh the layer's output before it joins the residual stream."""
        return output if self.gate is None else self.gate * output


def layer_norm(tokens: Tensor) -> Tensor:
    """LayerNorm without weights: AdaLN supplies them."""
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
