"""One simplified block: every stream a tensor of its own, so that each result finds one reader.

A compiler fuses a bias, an activation, a norm, a gate and a residual into the kernel before or after where
only one reads them; of streams stacked into one tensor it would write every step out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.deployed.attention import TextRole
from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.mmdit.patches import Grid


class SimplifiedBlock(nn.Module):
    """A block on the tokens of noise, LR and text, ``[R, N, D]``, ``[R, N, D]`` and ``[R, M, D]``."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.dual, self.final = config.is_dual(layer), config.is_final(layer)
        self.attn = PackedAttention(config, TextRole.READ if self.final else TextRole.FULL)
        if self.dual:
            self.attn2 = PackedAttention(config, TextRole.ABSENT)
        self.ff = InjectedFeedForward(config, noise_only=self.final)
        # By the compiler's account of a full-size block, one MLP for both streams at once moves 13 MB less,
        # for weights are read once, and takes 15 µs more on an A100, for LR's activations are written twice.
        # Neither is better: half of the blocks are done each way.
        self.together = self.dual and not self.final
        if not self.final:
            self.text_expand = nn.Linear(config.width, config.hidden_width)
            self.text_contract = nn.Linear(config.hidden_width, config.width)

    def forward(self, streams: Streams, modulation: Tensor, grid: Grid) -> Streams:
        """Pass the streams through the block; ``modulation`` ``[R, S]`` is laid out as in the checkpoint."""
        chunks = iter(modulation.split(streams.noise.shape[-1], dim=-1))
        joint, mlp, *dual = [take_modulation(chunks) for _ in range(3 if self.dual else 2)]
        if self.final:
            scale, shift = (next(chunks)[:, None] for _ in range(2))
            text_joint = Modulation(shift, scale)
        else:
            text_joint, text_mlp = take_modulation(chunks), take_modulation(chunks)

        normed = streams.each(layer_norm, layer_norm)
        attended = self.attn(normed.each(joint.enter, text_joint.enter))
        streams = streams.plus(attended.each(joint.leave, text_joint.leave))
        for second in dual:
            streams = streams.plus(self.attn2(normed.each(second.enter)).each(second.leave))

        streams = streams.plus(self.restore(streams, mlp, grid).each(mlp.leave))
        if self.final:
            return streams
        return streams._replace(text=self.read(streams.text, text_mlp))

    def restore(self, streams: Streams, modulation: Modulation, grid: Grid) -> Streams:
        """Pass the image streams through their MLP, the LR stream helping the noise stream on the way."""
        image: Streams | Tensor
        if self.together:
            assert streams.lr is not None
            image = modulation.enter(layer_norm(torch.stack([streams.noise, streams.lr])))
        else:
            image = streams.each(layer_norm).each(modulation.enter)
        restored: Streams = self.ff(image, grid)
        return restored

    def read(self, text: Tensor | None, modulation: Modulation) -> Tensor:
        """Pass the text through its MLP, which no other stream takes part in."""
        assert text is not None
        hidden = F.gelu(self.text_expand(modulation.enter(layer_norm(text))), approximate="tanh")
        return text + modulation.leave(self.text_contract(hidden))


def take_modulation(chunks: Iterator[Tensor]) -> Modulation:
    """Take the next shift, scale and gate, the same for all tokens of a row."""
    shift, scale, gate = (next(chunks)[:, None] for _ in range(3))
    return Modulation(shift, scale, gate)
