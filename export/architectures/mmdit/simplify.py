"""Exact simplification in memory: a released network folded into the halves that we deploy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from dit4sr.export.weights.folds import Recipes, evaluate

Half = TypeVar("Half", bound=nn.Module)


def folded(half: Half, recipes: Recipes, weights: Mapping[str, Tensor]) -> Half:
    """Fold released weights into a half that was made on meta tensors."""
    found = {name: evaluate(recipe, weights.__getitem__) for name, recipe in recipes.items()}
    half.load_state_dict(found, strict=True, assign=True)
    return half.eval().requires_grad_(False)


def resident_parameters(model: nn.Module) -> int:
    """Number of a model's parameters, which stay in memory while the sampler steps."""
    return sum(parameter.numel() for parameter in model.parameters())
