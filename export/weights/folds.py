"""Exact folds: weights made of others, as data.

Every weight of a network to deploy is a *recipe*: a key of the checkpoint, or a fold of recipes. Recipes are
data, so one table serves a model in memory, a checkpoint streamed from disk, and the question where an
exported weight came from. Folds are exact in real numbers; each computes in FP64 and rounds once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fold:
    """A weight made of other weights by a rule."""

    rule: Callable[..., Tensor]
    parts: tuple[Recipe, ...]


Recipe = str | Fold
"""How to make a weight: the checkpoint key to keep, or a fold."""

Recipes = dict[str, Recipe]


def evaluate(recipe: Recipe, read: Callable[[str], Tensor]) -> Tensor:
    """Make one weight, reading from a checkpoint only what it needs."""
    if isinstance(recipe, str):
        return read(recipe)
    return recipe.rule(*(evaluate(part, read) for part in recipe.parts))


def sources(recipe: Recipe) -> Iterator[str]:
    """The checkpoint keys that a weight comes from, in order."""
    if isinstance(recipe, str):
        yield recipe
    else:
        for part in recipe.parts:
            yield from sources(part)


def compose_weights(outer: Tensor, inner: Tensor) -> Tensor:
    """Weight of the one linear layer that two in a row amount to."""
    return (outer.double() @ inner.double()).to(outer.dtype)


def compose_biases(outer_weight: Tensor, inner_bias: Tensor, outer_bias: Tensor) -> Tensor:
    """Bias of the one linear layer that two in a row amount to."""
    return (outer_weight.double() @ inner_bias.double() + outer_bias.double()).to(outer_bias.dtype)


def stack_rows(*weights: Tensor) -> Tensor:
    """Stack matrices that multiply the same input, so that one MatMul does for all."""
    return torch.cat(weights)


def stacked(name: str, released: list[str]) -> Recipes:
    """Recipes for one linear layer stacked from several over the same input."""
    return {
        f"{name}.{part}": Fold(stack_rows, tuple(f"{key}.{part}" for key in released))
        for part in ("weight", "bias")
    }
