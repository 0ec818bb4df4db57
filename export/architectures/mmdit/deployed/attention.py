"""Attention whose streams are each projected by one linear layer."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.attention import Heads, attend, normalise_heads
from dit4sr.export.architectures.mmdit.sizes import TokenSizes


class TextRole(Enum):
    """What text does in an attention: it asks and is read, is only read, or is absent."""

    FULL = "asks and is read"
    READ = "is read"
    ABSENT = "is absent"


class PackedAttention(nn.Module):
    """Attention with each stream's projections stacked into one linear layer.

    The attention itself is torch's own: NVIDIA's compiler knows what it is exported as, and fuses it.
    """

    def __init__(self, sizes: TokenSizes, role: TextRole, *, qk_norm: bool) -> None:
        super().__init__()
        width, head_dim = sizes.width, sizes.attention_head_dim
        self.role, self.qk_norm, self.head_dim = role, qk_norm, head_dim
        self.image_qkv, self.image_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if role is TextRole.FULL:
            self.text_qkv, self.text_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if role is TextRole.READ:
            self.text_kv = nn.Linear(width, 2 * width)
        if qk_norm:
            self.norm_q, self.norm_k = (nn.Parameter(torch.ones(head_dim)) for _ in range(2))
            if role is TextRole.FULL:
                self.text_norm_q = nn.Parameter(torch.ones(head_dim))
            if role is not TextRole.ABSENT:
                self.text_norm_k = nn.Parameter(torch.ones(head_dim))

    def forward(self, image: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Let the tokens read one another; text is answered only where it asks."""
        query, key, value = (self._split(part) for part in self.image_qkv(image).chunk(3, dim=-1))
        heads = [Heads(self._normed(query, "norm_q"), self._normed(key, "norm_k"), value)]
        if self.role is TextRole.FULL:
            query, key, value = (self._split(part) for part in self.text_qkv(text).chunk(3, dim=-1))
            heads.append(Heads(self._normed(query, "text_norm_q"), self._normed(key, "text_norm_k"), value))
        elif self.role is TextRole.READ:
            key, value = (self._split(part) for part in self.text_kv(text).chunk(2, dim=-1))
            heads.append(Heads(key[:, :, :0], self._normed(key, "text_norm_k"), value))
        answer, *text_answer = attend(heads)
        return self.image_out(answer), self.text_out(text_answer[0]) if self.role is TextRole.FULL else None

    def _split(self, tokens: Tensor) -> Tensor:
        heads: Tensor = tokens.unflatten(-1, (-1, self.head_dim))
        return heads.transpose(1, 2)

    def _normed(self, heads: Tensor, norm: str) -> Tensor:
        return normalise_heads(heads, getattr(self, norm)) if self.qk_norm else heads
