"""T5 v1.1's encoder: words as hidden states, with positions only as a bias of the attention.

Attribute names are those of the published checkpoints, so that the state dicts match key for key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.dtypes import at_least_single
from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes

HEADROOM = 64.0
"""T5's feed-forward outgrows FP16, at its gate and in its output. Dividing before the last linear layer
and multiplying after it changes nothing but that bound; a power of two rounds nothing."""


MOST_DISTANCE = 1024
"""Between two tokens that still differ in their bias; T5 has 128."""


@dataclass(frozen=True)
class T5Config:
    """Sizes of a T5 encoder; field names are those of a transformers ``config.json``."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int
    relative_attention_num_buckets: int
    relative_attention_max_distance: int
    layer_norm_epsilon: float
    feed_forward_proj: str

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads")
        check_sizes({name: getattr(self, name) for name in sizes})
        check_sizes({"num_layers": self.num_layers}, MOST_LAYERS)
        distances = ("relative_attention_num_buckets", "relative_attention_max_distance")
        check_sizes({name: getattr(self, name) for name in distances}, MOST_DISTANCE)
        buckets, reach = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets < 4 or buckets % 4 or reach <= buckets // 4:
            raise ValueError(f"{buckets} buckets cannot be spread over distances up to {reach}")
        if self.feed_forward_proj != "gated-gelu":
            raise ValueError(f"feed_forward_proj is {self.feed_forward_proj!r}, T5 v1.1 has 'gated-gelu'")
        if not 0 < self.layer_norm_epsilon < 1:
            raise ValueError(f"layer_norm_epsilon is {self.layer_norm_epsilon}")


class T5Encoder(nn.Module):
    """T5's encoder: tokens to the last layer's hidden states."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Encode token ids ``[images, text]`` as states ``[images, text, C]``."""
        hidden: Tensor = self.encoder(self.shared(token_ids))
        return hidden


class Stack(nn.Module):
    """The stack of T5's blocks and their final norm; all attentions share the first one's position bias."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.block = nn.ModuleList(Block(config, first=place == 0) for place in range(config.num_layers))
        self.final_layer_norm = RmsNorm(config)

    def forward(self, states: Tensor) -> Tensor:
        """Pass states through every block in turn, then through the final norm."""
        first = cast("Attention", self.get_submodule("block.0.layer.0.SelfAttention"))
        bias = first.position_bias(states.shape[1], states.device)
        for block in self.block:
            states = block(states, bias)
        normed: Tensor = self.final_layer_norm(states)
        return normed


class Block(nn.Module):
    """A block of T5: pre-norm attention and feed-forward."""

    def __init__(self, config: T5Config, *, first: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config, first=first), FeedForwardLayer(config)])

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Pass states through attention, then through the feed-forward."""
        attention, feed_forward = self.layer
        mixed: Tensor = feed_forward(attention(states, bias))
        return mixed


class AttentionLayer(nn.Module):
    """Pre-norm attention around a residual."""

    def __init__(self, config: T5Config, *, first: bool) -> None:
        super().__init__()
        self.SelfAttention = Attention(config, has_positions=first)
        self.layer_norm = RmsNorm(config)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Add the attention's output to the states."""
        found: Tensor = states + self.SelfAttention(self.layer_norm(states), bias)
        return found


class FeedForwardLayer(nn.Module):
    """Pre-norm gated feed-forward around a residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = GatedFeedForward(config)
        self.layer_norm = RmsNorm(config)

    def forward(self, states: Tensor) -> Tensor:
        """Add the feed-forward's output to the states."""
        made: Tensor = states + self.DenseReluDense(self.layer_norm(states))
        return made


class Attention(nn.Module):
    """Self-attention without scaling, which T5 leaves to its weights, and without a mask."""

    def __init__(self, config: T5Config, *, has_positions: bool) -> None:
        super().__init__()
        self.heads = config.num_heads
        inner = config.num_heads * config.d_kv
        self.q, self.k, self.v = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if has_positions:
            self.borders = bucket_borders(
                config.relative_attention_num_buckets, config.relative_attention_max_distance
            )
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Attend from every token to all, the position bias added to the scores."""
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q, self.k, self.v)
        )
        scores = query @ key.transpose(-1, -2) + bias
        seen: Tensor = self.o((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return seen

    def position_bias(self, tokens: int, device: torch.device) -> Tensor:
        """What each head adds to a score for the offset from query to key: ``[heads, tokens, tokens]``."""
        places = torch.arange(tokens, device=device)
        bias: Tensor = self.relative_attention_bias(bucket_of(places[None] - places[:, None], self.borders))
        return bias.permute(2, 0, 1)


class GatedFeedForward(nn.Module):
    """A feed-forward in which one widened copy of a token gates another."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Widen states twice, gate one by the other, and narrow the result."""
        gate = F.gelu(self.wi_0(states), approximate="tanh") / HEADROOM
        narrowed: Tensor = self.wo(gate * self.wi_1(states)) * HEADROOM
        return narrowed


class RmsNorm(nn.Module):
    """A norm by the root mean square: no mean is taken off and nothing is added."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.epsilon = config.layer_norm_epsilon

    def forward(self, states: Tensor) -> Tensor:
        """Normalise each token; the statistics are FP32 at least."""
        precise = at_least_single(states)
        normed = precise * torch.rsqrt(precise.square().mean(-1, keepdim=True) + self.epsilon)
        return (normed * self.weight).to(states.dtype)


def bucket_borders(buckets: int, reach: int) -> tuple[int, ...]:
    """The distances at which the next bucket of one direction begins.

    Half of a direction's buckets hold one distance each; the others grow geometrically up to ``reach``, and
    the last holds everything beyond. Border j is the least n with ``(n / near)^wide ≥ (reach / near)^j``:
    solved in whole numbers here, no logarithm can round a border away in one engine and not in another.
    """
    near = wide = buckets // 4
    borders, distance = list(range(1, near + 1)), near
    for j in range(1, wide):
        while distance**wide * near**j < reach**j * near**wide:
            distance += 1
        borders.append(distance)
    return tuple(borders)


def bucket_of(offsets: Tensor, borders: tuple[int, ...]) -> Tensor:
    """The bucket of each offset from query to key; those ahead follow those behind."""
    distance = offsets.abs()
    bucket = (offsets > 0).to(torch.int64) * (len(borders) + 1)
    for border in borders:
        bucket = bucket + (distance >= border).to(torch.int64)
    return bucket
