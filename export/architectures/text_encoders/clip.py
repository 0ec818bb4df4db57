"""CLIP's text transformer with its projection: words as hidden states and as one pooled vector.

Attribute names are those of the published checkpoints, so that the state dicts match key for key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes

LEGACY_EOS = 2
"""An end token that no CLIP vocabulary has. Published configs carry it, and mean the largest token."""


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of GELU that the first CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


@dataclass(frozen=True)
class ClipConfig:
    """Sizes of a CLIP text encoder; field names are those of a transformers ``config.json``."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    projection_dim: int
    hidden_act: str
    layer_norm_eps: float
    eos_token_id: int

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_attention_heads")
        check_sizes({name: getattr(self, name) for name in (*sizes, "max_position_embeddings")})
        check_sizes({"num_hidden_layers": self.num_hidden_layers}, MOST_LAYERS)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of {self.num_attention_heads} heads"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act is {self.hidden_act!r}, not one of {', '.join(ACTIVATIONS)}")
        if not 0 < self.layer_norm_eps < 1:
            raise ValueError(f"layer_norm_eps is {self.layer_norm_eps}")


class ClipText(nn.Module):
    """CLIP's text encoder: tokens to the penultimate layer's states and the projected end-of-text state."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.eos = config.eos_token_id
        self.text_model = TextModel(config)
        self.text_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)

    def forward(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ``[images, text]`` as states ``[images, text, C]`` and pooled vectors ``[images, P]``."""
        penultimate, last = self.text_model(token_ids)
        rows = torch.arange(token_ids.shape[0], device=token_ids.device)
        return penultimate, self.text_projection(last[rows, first_end(token_ids, self.eos)])


def first_end(token_ids: Tensor, eos: int) -> Tensor:
    """Position of each row's end token: padding may repeat it, so the first counts."""
    if eos == LEGACY_EOS:
        return token_ids.argmax(dim=-1)
    return (token_ids == eos).to(torch.int32).argmax(dim=-1)


class TextModel(nn.Module):
    """CLIP's embeddings, layers, and the norm that only the pooled output passes through."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states before the last layer, as they are, and those after it, normed."""
        penultimate, last = self.encoder(self.embeddings(token_ids))
        return penultimate, self.final_layer_norm(last)


class Embeddings(nn.Module):
    """The embedding of a token, plus that of its position."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Look up the embeddings of tokens and positions, and add them."""
        tokens: Tensor = self.token_embedding(token_ids)
        return tokens + self.position_embedding.weight[: token_ids.shape[1]]


class Encoder(nn.Module):
    """The stack of CLIP's layers, causally masked: a token sees itself and those before it."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states before and after the last layer."""
        tokens = states.shape[1]
        mask = torch.full((tokens, tokens), float("-inf"), dtype=states.dtype, device=states.device).triu(1)
        before = states
        for layer in self.layers:
            before, states = states, layer(states, mask)
        return before, states


class Layer(nn.Module):
    """A layer of CLIP: pre-norm attention and feed-forward, each around a residual."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = FeedForward(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Add what attention and feed-forward make of the states."""
        states = states + self.self_attn(self.layer_norm1(states), mask)
        mixed: Tensor = states + self.mlp(self.layer_norm2(states))
        return mixed


class Attention(nn.Module):
    """Self-attention with an additive mask."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.scale = (width // self.heads) ** -0.5
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend from every token to those that the mask lets it see."""
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = query @ key.transpose(-1, -2) * self.scale + mask
        seen: Tensor = self.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return seen


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Widen states, activate them, and narrow them again."""
        narrowed: Tensor = self.fc2(self.activation(self.fc1(states)))
        return narrowed
