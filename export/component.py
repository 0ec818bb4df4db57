"""What the exporter asks of a component to be: a module on meta tensors, and a recipe for every weight.

Inputs are named, and so are their symbolic axes. The exporter traces, rounds, binds and writes components,
and knows no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import nn

from dit4sr.export.weights.folds import Recipe
from dit4sr.export.weights.sources import WeightSource
from dit4sr.runtime.axes import Sizes, axis_sizes
from dit4sr.runtime.manifest import ModelCard, TensorSpec


class TokenizerSource(Protocol):
    """A tokenizer to be written into the bundle."""

    def to_text(self) -> str:
        """The content of its ``tokenizer.json``, which holds its own padding and truncation."""
        ...


@dataclass(frozen=True)
class ComponentSource:
    """One component to be exported: its network, and where the weights come from."""

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    """By the module's own name of each weight."""
    weights: WeightSource
    """What recipes read."""
    vocabulary: int = 0
    """Whole numbers given to the component are below this."""
    tokenizer: TokenizerSource | None = None
    """What makes the component's numbers of words, if that is what it reads."""
    rounded_modules: tuple[type[nn.Module], ...] = ()
    """Modules of the network's own all of whose weights enter products."""
    static_sizes: Sizes = field(default_factory=dict)
    """Axes that are fixed, in a static export, at other sizes than the network's."""


def static_sizes(card: ModelCard, component: ComponentSource) -> Sizes:
    """Every axis of a static export: the training tile with guidance, all text tokens and default steps."""
    tile = (card.training_tile, card.training_tile)
    return {**axis_sizes(card, latent=tile), **component.static_sizes}
