"""Heads of attention: split by stream, normalised, and joined in one softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dtypes import at_least_single


class Heads(NamedTuple):
    """One stream's queries, keys and values, ``[R, heads, tokens, head_dim]`` each."""

    query: Tensor
    key: Tensor
    value: Tensor


class HeadNorm(nn.Module):
    """RMSNorm over a head's channels; all heads share the weight."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_dim))

    def forward(self, heads: Tensor) -> Tensor:
        """RMS-normalise every head over its channels."""
        return normalise_heads(heads, self.weight)


def normalise_heads(heads: Tensor, weight: Tensor) -> Tensor:
    """RMS-normalise over the last axis; the statistics are FP32 at least, the result is rounded once."""
    precise = at_least_single(heads)
    normed = precise * torch.rsqrt(precise.square().mean(-1, keepdim=True) + 1e-6)
    return (normed * weight).to(heads.dtype)


def attend(streams: Sequence[Heads]) -> tuple[Tensor, ...]:
    """Attend by one softmax over the tokens of all streams; each stream's output is ``[R, tokens, D]``."""
    query, key, value = (torch.cat(parts, dim=2) for parts in zip(*streams, strict=True))
    answer = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    answers: tuple[Tensor, ...] = answer.split([stream.query.shape[2] for stream in streams], dim=1)
    return answers
