"""One MM-DiT-Control block."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.released.attention import Attention
from dit4sr.export.architectures.dit4sr.released.feed_forward import ImageFeedForward
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.feed_forward import FeedForward
from dit4sr.export.architectures.mmdit.modulation import (
    AdaLayerNorm,
    AdaLayerNormContinuous,
    layer_norm,
)
from dit4sr.export.architectures.mmdit.patches import Grid


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
