"""One simplified block, on two tensors: image (noise and LR together) and text."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention, TextRole
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.released.streams import Grid, Modulation, layer_norm


class SimplifiedBlock(nn.Module):
    """A block on two tensors: image ``[R, 2, N, D]`` (noise, then LR) and text ``[R, M, D]``."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.dual, self.final = config.is_dual(layer), config.is_final(layer)
        self.attn = PackedAttention(config, TextRole.READ if self.final else TextRole.FULL)
        if self.dual:
            self.attn2 = PackedAttention(config, TextRole.ABSENT)
        self.ff = InjectedFeedForward(config, noise_only=self.final)
        if not self.final:
            self.text_expand = nn.Linear(config.width, config.hidden_width)
            self.text_contract = nn.Linear(config.hidden_width, config.width)

    def forward(
        self, image: Tensor, text: Tensor, chunks: Iterator[Tensor], grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """Pass image and text through the block, taking modulations from ``chunks`` in checkpoint order."""
        joint, mlp, *dual = [take_modulation(chunks, axes=2) for _ in range(3 if self.dual else 2)]
        normed = layer_norm(image)

        if self.final:
            scale, shift = next(chunks), next(chunks)
            text_joint = Modulation(shift[:, None], scale[:, None])
        else:
            text_joint, text_mlp = take_modulation(chunks, axes=1), take_modulation(chunks, axes=1)

        attended, text_attended = self.attn(joint.enter(normed), text_joint.enter(layer_norm(text)))
        image = image + joint.leave(attended)
        for second in dual:
            attended, _ = self.attn2(second.enter(normed), None)
            image = image + second.leave(attended)

        restored = self.ff(mlp.enter(layer_norm(image)), grid)
        image = image[:, : restored.shape[1]] + mlp.leave(restored)
        if self.final:
            return image, text

        text = text + text_joint.leave(text_attended)
        hidden = F.gelu(self.text_expand(text_mlp.enter(layer_norm(text))), approximate="tanh")
        return image, text + text_mlp.leave(self.text_contract(hidden))


def take_modulation(chunks: Iterator[Tensor], axes: int) -> Modulation:
    """Take the next shift, scale and gate, broadcast over ``axes`` axes between rows and channels."""
    shape = (slice(None), *[None] * axes)
    return Modulation(next(chunks)[shape], next(chunks)[shape], next(chunks)[shape])
