"""CLIP's text transformer with its projection: words as hidden states and as one pooled vector.

Attribute names are those of the published checkpoints, so that the state dicts match key for key.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.clip_layers import Layer, check_layers
from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes

LEGACY_EOS = 2
"""An end token that no CLIP vocabulary has. Published configs carry it, and mean the largest token."""


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
        check_layers(self)


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
