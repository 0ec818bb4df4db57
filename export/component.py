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
from dit4sr.runtime.bundles.manifest import ModelCard, TensorSpec


class TokenizerSource(Protocol):
    """A tokenizer to be written into the bundle."""

    def cut_to(self, tokens: int) -> TokenizerSource:
        """The same for prompts of another length."""
        ...

    def to_text(self) -> str:
        """The content of its ``tokenizer.json``, which holds its own padding and truncation."""
        ...


@dataclass(frozen=True)
class ComponentSource:
    """One component to be exported: its module, and where the weights come from."""

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    """The recipe of each weight, by its name in the module."""
    weights: WeightSource
    """The source that recipes read tensors from."""
    vocabulary: int = 0
    """Integers given to the component, such as token ids, are below this."""
    tokenizer: TokenizerSource | None = None
    """The tokenizer that makes the component's token ids, if it reads words."""
    rounded_modules: tuple[type[nn.Module], ...] = ()
    """The network's own modules whose weights only MatMuls and fused operators read."""
    even_outputs: tuple[str, ...] = ()
    """Outputs that may be one number throughout, as a weight that is the same at every step."""
    replaces_step_where_zero: str = ""
    """The output of `prepare` that is zero in the steps in which this component answers as `step` does."""
    static_sizes: Sizes = field(default_factory=dict)
    """Sizes of axes that a static export fixes at others than the network's."""


def static_sizes(card: ModelCard, component: ComponentSource) -> Sizes:
    """Every axis of a static export: the training tile with guidance, all text tokens and default steps."""
    tile = (card.training_tile, card.training_tile)
    return {**axis_sizes(card, latent=tile), **component.static_sizes}
