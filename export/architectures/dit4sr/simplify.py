"""Exact simplification in memory: a released model folded into the one we deploy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import Prepare
from dit4sr.export.architectures.dit4sr.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.weights.folds import evaluate


class Simplified(NamedTuple):
    """A simplified network, in its two halves."""

    prepare: Prepare
    denoiser: Denoiser


def simplify(model: Transformer) -> Simplified:
    """Fold a released model, in memory, into the simplified one."""
    config, weights = model.config, model.state_dict()
    with torch.device("meta"):
        halves = Simplified(Prepare(config), Denoiser(config))
    for half, recipes in zip(halves, (prepare_recipes(config), denoiser_recipes(config)), strict=True):
        folded = {name: evaluate(recipe, weights.__getitem__) for name, recipe in recipes.items()}
        half.load_state_dict(folded, strict=True, assign=True)
        half.eval().requires_grad_(False)
    return halves


def resident_parameters(model: nn.Module) -> int:
    """Number of a model's parameters, which stay in memory while the sampler steps."""
    return sum(parameter.numel() for parameter in model.parameters())
