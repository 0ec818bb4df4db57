"""CLIP's image transformer with its projection: a picture as tokens and as one pooled vector.

Attribute names are those of the published checkpoints, so that the state dicts match key for key.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.clip_layers import Layer, check_layers
from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes


@dataclass(frozen=True)
class ClipVisionConfig:
    """Sizes of a CLIP image encoder; field names are those of a transformers ``config.json``."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    projection_dim: int
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        sizes = ("hidden_size", "intermediate_size", "num_attention_heads", "image_size", "patch_size")
        check_sizes({name: getattr(self, name) for name in (*sizes, "projection_dim")})
        check_sizes({"num_hidden_layers": self.num_hidden_layers}, MOST_LAYERS)
        check_layers(self)
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patches of {self.patch_size}")

    @property
    def patches(self) -> int:
        """Number of patches of a picture."""
        return (self.image_size // self.patch_size) ** 2


class ClipVision(nn.Module):
    """CLIP's image encoder: a picture to one layer's states, and to the projected state of the class token.

    ``layer`` counts the hidden states from the last, as in ``hidden_states[-2]``. Pictures come as the VAE's
    do, from -1 to 1: what CLIP normalises them by is part of the patches' weights.
    """

    def __init__(self, config: ClipVisionConfig, *, layer: int, class_token: bool) -> None:
        super().__init__()
        self.first = 0 if class_token else 1
        self.vision_model = VisionModel(config, taken=config.num_hidden_layers + 1 + layer)
        self.visual_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ``[images, 3, side, side]`` as tokens ``[images, V, C]`` and vectors ``[images, P]``."""
        states, pooled = self.vision_model(image)
        return states[:, self.first :], self.visual_projection(pooled)


class VisionModel(nn.Module):
    """CLIP's embeddings and layers, and the norms before and after them."""

    def __init__(self, config: ClipVisionConfig, *, taken: int) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(width, eps=eps)  # so it is spelt in every checkpoint
        self.encoder = Encoder(config, taken=taken)
        self.post_layernorm = nn.LayerNorm(width, eps=eps)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states that are taken, as they are, and the last one of the class token, normed."""
        states, last = self.encoder(self.pre_layrnorm(self.embeddings(image)))
        return states, self.post_layernorm(last[:, 0])


class Embeddings(nn.Module):
    """The embedding of the class, then those of patches, each plus that of its position."""

    def __init__(self, config: ClipVisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.patch_embedding = nn.Conv2d(3, width, kernel_size=patch, stride=patch)
        self.position_embedding = nn.Embedding(config.patches + 1, width)

    def forward(self, image: Tensor) -> Tensor:
        """Cut a picture into patches, row by row, and put the class before them."""
        patches = self.patch_embedding(image).flatten(2).transpose(1, 2)
        of_class = self.class_embedding.expand(image.shape[0], 1, -1)
        return torch.cat([of_class, patches], dim=1) + self.position_embedding.weight


class Encoder(nn.Module):
    """The stack of CLIP's layers, every token seeing all."""

    def __init__(self, config: ClipVisionConfig, *, taken: int) -> None:
        super().__init__()
        self.taken = taken
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states after as many layers as are taken, and after all of them."""
        taken = states
        for place, layer in enumerate(self.layers, 1):
            states = layer(states)
            if place == self.taken:
                taken = states
        return taken, states
