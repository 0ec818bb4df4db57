"""Attention whose streams are each projected by one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.attention import Heads, attend, normalise_heads
from dit4sr.export.architectures.mmdit.deployed.attention import TextRole
from dit4sr.kernels.joint_attention.torch_op import (
    joint_attention,
    joint_attention_dual,
    joint_attention_final,
)


class PackedAttention(nn.Module):
    """Attention with each stream's projections stacked into one linear layer."""

    def __init__(self, config: TransformerConfig, role: TextRole) -> None:
        super().__init__()
        width, head_dim = config.width, config.attention_head_dim
        self.config, self.role = config, role
        self.noise_qkv = nn.Linear(width, 3 * width)
        # Copied LR keys come from the noise keys, inside the operator: there is nothing to project.
        self.lr_qkv = nn.Linear(width, (2 if config.flavour is Flavour.COPIED else 3) * width)
        self.noise_out, self.lr_out = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_q, self.norm_k = (nn.Parameter(torch.ones(head_dim)) for _ in range(2))
        if role is TextRole.FULL:
            self.text_qkv = nn.Linear(width, 3 * width)
            self.text_out = nn.Linear(width, width)
            self.text_norm_q = nn.Parameter(torch.ones(head_dim))
        if role is TextRole.READ:
            self.text_kv = nn.Linear(width, 2 * width)
        if role is not TextRole.ABSENT:
            self.text_norm_k = nn.Parameter(torch.ones(head_dim))

    def forward(self, streams: Streams) -> Streams:
        """Let the streams read one another; text is answered only where it asks."""
        noise_qkv, lr_qkv = self.noise_qkv(streams.noise), self.lr_qkv(streams.lr)
        answers = self.attend(noise_qkv, lr_qkv, streams.text)
        assert answers.lr is not None
        assert streams.lr is not None
        lr_answer = answers.lr + streams.lr if self.config.lr_residual else answers.lr
        return Streams(
            self.noise_out(answers.noise),
            self.lr_out(lr_answer),
            None if answers.text is None else self.text_out(answers.text),
        )

    def attend(self, noise_qkv: Tensor, lr_qkv: Tensor, text: Tensor | None) -> Streams:
        """Attend to packed projections of the image streams and, where there is text, to its tokens."""
        if not self.config.lr_joins_attention:
            return self._attend_apart(noise_qkv, lr_qkv, text)
        norms = (self.norm_q, self.norm_k)
        if self.role is TextRole.FULL:
            text_norms = (self.text_norm_q, self.text_norm_k)
            return Streams(*joint_attention(noise_qkv, lr_qkv, self.text_qkv(text), *norms, *text_norms))
        if self.role is TextRole.READ:
            text_kv = self.text_kv(text)
            return Streams(*joint_attention_final(noise_qkv, lr_qkv, text_kv, *norms, self.text_norm_k))
        return Streams(*joint_attention_dual(noise_qkv, lr_qkv, *norms))

    def _attend_apart(self, noise_qkv: Tensor, lr_qkv: Tensor, text: Tensor | None) -> Streams:
        """Attend as in variant a, the LR stream in a softmax of its own, without a fused operator."""
        noise, lr = (self._heads(qkv, self.norm_q, self.norm_k) for qkv in (noise_qkv, lr_qkv))
        [lr_answer] = attend([lr])
        if text is None:
            [noise_answer] = attend([noise])
            return Streams(noise_answer, lr_answer)
        if self.role is TextRole.FULL:
            asking = self._heads(self.text_qkv(text), self.text_norm_q, self.text_norm_k)
            noise_answer, text_answer = attend([noise, asking])
            return Streams(noise_answer, lr_answer, text_answer)
        key, value = (self._split(part) for part in self.text_kv(text).chunk(2, dim=-1))
        silent = Heads(key[:, :, :0], normalise_heads(key, self.text_norm_k), value)
        noise_answer, _ = attend([noise, silent])
        return Streams(noise_answer, lr_answer)

    def _heads(self, qkv: Tensor, norm_q: Tensor, norm_k: Tensor) -> Heads:
        query, key, value = (self._split(part) for part in qkv.chunk(3, dim=-1))
        return Heads(normalise_heads(query, norm_q), normalise_heads(key, norm_k), value)

    def _split(self, tokens: Tensor) -> Tensor:
        heads: Tensor = tokens.unflatten(-1, (-1, self.config.attention_head_dim))
        return heads.transpose(1, 2)
