"""What the exporter asks of a network, whichever it is.

An architecture offers parts: modules on meta tensors, with named inputs whose symbolic axes are names, and a
recipe for every weight. The exporter traces, rounds, binds and writes them, and knows no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import nn

from dit4sr.export.architectures.text_encoders.tokenizer import Tokenizer
from dit4sr.export.weights.folds import Recipe
from dit4sr.export.weights.sources import WeightSource
from dit4sr.runtime.manifest import ModelCard, TensorSpec

Sizes = Mapping[str, int]
"""What a symbolic axis measures in one example."""


@dataclass(frozen=True)
class ComponentSource:
    """One component to be: a graph, and where its weights come from."""

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    source: WeightSource
    vocabulary: int = 0
    """Whole numbers given to the part are below this."""
    tokenizer: Tokenizer | None = None
    """What makes the part's numbers of words, if that is what it reads."""
    static_sizes: Sizes = field(default_factory=dict)
    """Axes that are fixed, in a static export, at other sizes than the network's."""
    rounded_modules: tuple[type[nn.Module], ...] = ()
    """Modules of the network's own all of whose weights enter matrix multiplications, rounded for them."""


class Architecture(Protocol):
    """A network that can be exported."""

    def card(self, precision: str) -> ModelCard:
        """What the sampler needs to know."""

    def parts(self) -> list[ComponentSource]:
        """The components, in the order in which a picture passes through them."""


def example_sizes(
    card: ModelCard, *, images: int, branches: int, latent: tuple[int, int], text: int, steps: int
) -> Sizes:
    """Every symbolic axis of one example."""
    height, width = latent
    return {
        "images": images,
        "branches": branches,
        "rows": images * branches,
        "height": height,
        "width": width,
        "pixel_height": height * card.vae_factor,
        "pixel_width": width * card.vae_factor,
        "tokens": (height // card.patch_size) * (width // card.patch_size),
        "text": text,
        "steps": steps,
    }


def static_sizes(card: ModelCard, part: ComponentSource) -> Sizes:
    """Every axis of a static export: the training tile with guidance, all text tokens and default steps."""
    tile = (card.training_tile, card.training_tile)
    text, steps = card.text_tokens, card.default_steps
    sizes = example_sizes(card, images=1, branches=2, latent=tile, text=text, steps=steps)
    return {**sizes, **part.static_sizes}


def axis_size(axis: int | str, sizes: Sizes) -> int:
    """A static axis is its own size."""
    return axis if isinstance(axis, int) else sizes[axis]
