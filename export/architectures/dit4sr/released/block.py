"""One MM-DiT-Control block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.released.attention import Attention
from dit4sr.export.architectures.dit4sr.released.feed_forward import FeedForward, ImageFeedForward
from dit4sr.export.architectures.dit4sr.released.streams import Grid, Modulation, Streams, layer_norm


class AdaLayerNorm(nn.Module):
    """AdaLN: the modulations of a block's layers (shift, scale, gate of each) from the steering vector."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.linear = nn.Linear(width, 3 * layers * width)

    def forward(self, steering: Tensor) -> list[Modulation]:
        """Compute one modulation for each layer, ``[R, 1, D]`` apiece."""
        chunks = self.linear(F.silu(steering)).unsqueeze(1).chunk(3 * self.layers, dim=-1)
        return [Modulation(*chunks[i : i + 3]) for i in range(0, 3 * self.layers, 3)]


class AdaLayerNormContinuous(nn.Module):
    """AdaLN for the output and for text that is only read: scale before shift, and no gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, steering: Tensor) -> list[Modulation]:
        """Compute one modulation without a gate, ``[R, 1, D]``."""
        scale, shift = self.linear(F.silu(steering)).unsqueeze(1).chunk(2, dim=-1)
        return [Modulation(shift, scale)]


class Block(nn.Module):
    """A block: attention, a second one over the image streams in the dual layers, and the MLPs."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        dual, final = config.is_dual(layer), config.is_final(layer)
        self.norm1 = AdaLayerNorm(config.width, layers=3 if dual else 2)
        self.norm1_context = (
            AdaLayerNormContinuous(config.width) if final else AdaLayerNorm(config.width, layers=2)
        )
        self.attn = Attention(config, text=True, text_output=not final)
        if dual:
            self.attn2 = Attention(config, text=False, text_output=False)
        self.ff = ImageFeedForward(config)
        self.ff_context = None if final else FeedForward(config)

    def forward(self, streams: Streams, steering: Tensor, grid: Grid) -> Streams:
        """Pass noise, LR and text through the block; the final one returns no text."""
        joint, mlp, *dual = self.norm1(steering)
        text_joint, *text_mlp = self.norm1_context(steering)

        # LR integration: one attention over all streams (the LR residual is inside).
        normed = streams.each(layer_norm, layer_norm)
        attended = self.attn(normed.each(joint.enter, text_joint.enter))
        streams = streams.plus(attended.each(joint.leave, text_joint.leave))

        # The second attention reads the tokens as they were before the first.
        for second in dual:
            attended = self.attn2(normed.each(second.enter))
            streams = streams.plus(attended.each(second.leave))

        # LR injection: between the linear layers of the image streams' MLP.
        normed = streams.each(layer_norm, layer_norm)
        restored = self.ff.restore(normed.each(mlp.enter), grid).each(mlp.leave)
        if self.ff_context is None:
            return streams._replace(text=None).plus(restored)
        [modulation] = text_mlp
        told = modulation.leave(self.ff_context(modulation.enter(normed.text)))
        return streams.plus(restored._replace(text=told))
