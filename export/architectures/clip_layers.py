"""The layers of CLIP, which its text and its image transformer are stacks of.

Attribute names are those of the published checkpoints, so that the state dicts match key for key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerSizes(Protocol):
    """What a layer is built by, by the names of a transformers ``config.json``."""

    @property
    def hidden_size(self) -> int:
        """Number of channels of a state."""

    @property
    def intermediate_size(self) -> int:
        """Number of channels between the two linear layers of a feed-forward."""

    @property
    def num_attention_heads(self) -> int:
        """Number of heads that a state is split into."""

    @property
    def hidden_act(self) -> str:
        """Name of the activation."""

    @property
    def layer_norm_eps(self) -> float:
        """What norms add to the variance."""


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of GELU that the first CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


def check_layers(sizes: LayerSizes) -> None:
    """Refuse, with a ``ValueError``, what no layer has."""
    if sizes.hidden_size % sizes.num_attention_heads:
        raise ValueError(
            f"hidden_size {sizes.hidden_size} is no multiple of {sizes.num_attention_heads} heads"
        )
    if sizes.hidden_act not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {sizes.hidden_act!r}, not one of {', '.join(ACTIVATIONS)}")
    if not 0 < sizes.layer_norm_eps < 1:
        raise ValueError(f"layer_norm_eps is {sizes.layer_norm_eps}")


class Layer(nn.Module):
    """A layer of CLIP: pre-norm attention and feed-forward, each around a residual."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes)
        self.layer_norm1 = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)
        self.mlp = FeedForward(sizes)
        self.layer_norm2 = nn.LayerNorm(sizes.hidden_size, eps=sizes.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Add what attention and feed-forward make of the states."""
        states = states + self.self_attn(self.layer_norm1(states), mask)
        mixed: Tensor = states + self.mlp(self.layer_norm2(states))
        return mixed


class Attention(nn.Module):
    """Self-attention, with an additive mask where there is one."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.heads = sizes.num_attention_heads
        self.scale = (width // self.heads) ** -0.5
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from every token to those that the mask lets it see, or to all."""
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if mask is None:
            answer = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
            free: Tensor = self.out_proj(answer.transpose(1, 2).flatten(2))
            return free
        scores = query @ key.transpose(-1, -2) * self.scale + mask
        seen: Tensor = self.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return seen


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[sizes.hidden_act]
        self.fc1 = nn.Linear(sizes.hidden_size, sizes.intermediate_size)
        self.fc2 = nn.Linear(sizes.intermediate_size, sizes.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Widen states, activate them, and narrow them again."""
        narrowed: Tensor = self.fc2(self.activation(self.fc1(states)))
        return narrowed
