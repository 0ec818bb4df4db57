"""The denoiser with one of its optimisations taken back.

Each differs from the deployed one in the thing it is named for, so that a difference in time is the price of
that thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Flavour, Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention
from dit4sr.export.architectures.dit4sr.deployed.block import SimplifiedBlock
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.attention import Heads, attend, normalise_heads
from dit4sr.export.architectures.mmdit.deployed.attention import TextRole
from dit4sr.export.architectures.mmdit.patches import Grid


class UnfusedAttention(PackedAttention):
    """Attention as released: heads split, joined and attended to by standard operators, not by ours."""

    def attend(self, noise_qkv: Tensor, lr_qkv: Tensor, text: Tensor | None) -> Streams:
        """Compute what `PackedAttention` computes, by standard operators."""
        noise = self._heads(noise_qkv, self.norm_q, self.norm_k)
        streams = [noise, self._lr_heads(lr_qkv, noise)]
        if self.role is TextRole.FULL:
            streams.append(self._heads(self.text_qkv(text), self.text_norm_q, self.text_norm_k))
        elif self.role is TextRole.READ:
            key, value = (self._split(part) for part in self.text_kv(text).chunk(2, dim=-1))
            streams.append(Heads(key[:, :, :0], normalise_heads(key, self.text_norm_k), value))
        answers = attend(streams)
        return Streams(*(answers if self.role is TextRole.FULL else answers[:2]))

    def _lr_heads(self, qkv: Tensor, noise: Heads) -> Heads:
        if self.config.flavour is Flavour.OWN:
            return self._heads(qkv, self.norm_q, self.norm_k)
        query, value = (self._split(part) for part in qkv.chunk(2, dim=-1))
        return Heads(normalise_heads(query, self.norm_q), normalise_heads(noise.key, self.norm_k), value)


class UnfusedFeedForward(InjectedFeedForward):
    """The injection as released: tokens become pictures for a convolution, and tokens again."""

    def inject(self, noise: Tensor, lr: Tensor, grid: Grid) -> Tensor:
        """Compute what `InjectedFeedForward` computes, by a convolution over pictures."""
        if self.injection is not Injection.CONVOLUTION:
            return super().inject(noise, lr, grid)
        picture = lr.unflatten(1, grid).permute(0, 3, 1, 2)
        filters = self.taps.permute(2, 0, 1)[:, None]
        filtered = F.conv2d(picture, filters, self.tap_bias, padding=1, groups=len(filters))
        return noise + filtered.flatten(2).transpose(1, 2)


class SeparateProjections(nn.Module):
    """Projections of one input that were not stacked: a linear layer for each, side by side."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(width, width) for _ in range(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """Concatenate the outputs of all projections."""
        return torch.cat([projection(tokens) for projection in self.each], dim=-1)


class UncomposedProjections(SeparateProjections):
    """The LR stream's projections that were not composed: through the base's, then through its own."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__(width, count)
        self.bases = nn.ModuleList(nn.Linear(width, width) for _ in range(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """Concatenate the outputs of all projections."""
        pairs = zip(self.each, self.bases, strict=True)
        return torch.cat([own(base(tokens)) for own, base in pairs], dim=-1)


def without_attention(config: TransformerConfig) -> Denoiser:
    """The denoiser without the packed attention operator."""

    def unfuse(block: SimplifiedBlock) -> None:
        block.attn = UnfusedAttention(config, block.attn.role)
        if block.dual:
            block.attn2 = UnfusedAttention(config, TextRole.ABSENT)

    return _changed(config, unfuse)


def without_injection(config: TransformerConfig) -> Denoiser:
    """The denoiser without the fused injection operator."""

    def unfuse(block: SimplifiedBlock) -> None:
        block.ff = UnfusedFeedForward(config, noise_only=block.final)

    return _changed(config, unfuse)


def without_folds(config: TransformerConfig) -> Denoiser:
    """The denoiser with every projection apart: nothing stacked, nothing composed."""
    width = config.width
    lr_parts = 2 if config.flavour is Flavour.COPIED else 3

    def unfold(block: SimplifiedBlock) -> None:
        for attention in _attentions(block):
            attention.add_module("noise_qkv", SeparateProjections(width, 3))
            attention.add_module("lr_qkv", UncomposedProjections(width, lr_parts))
            if attention.role is TextRole.FULL:
                attention.add_module("text_qkv", SeparateProjections(width, 3))

    return _changed(config, unfold)


ABLATED: Mapping[str, Callable[[TransformerConfig], Denoiser]] = {
    "folds": without_folds,
    "inject": without_injection,
    "attention": without_attention,
}


def _changed(config: TransformerConfig, change: Callable[[SimplifiedBlock], None]) -> Denoiser:
    denoiser = Denoiser(config)
    for block in denoiser.blocks:
        assert isinstance(block, SimplifiedBlock)
        change(block)
    return denoiser


def _attentions(block: SimplifiedBlock) -> list[PackedAttention]:
    return [module for module in block.modules() if isinstance(module, PackedAttention)]
