"""Exact simplification in memory: released networks folded into those we deploy."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import Denoiser
from dit4sr.export.architectures.sd3_controlnet.deployed.prepare import Prepare
from dit4sr.export.architectures.sd3_controlnet.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer
from dit4sr.export.weights.folds import evaluate


class Simplified(NamedTuple):
    """Simplified networks, in two halves."""

    prepare: Prepare
    denoiser: Denoiser


def simplify(model: ControlledTransformer) -> Simplified:
    """Fold released networks, in memory, into the simplified ones."""
    config, weights = model.config, model.state_dict()
    with torch.device("meta"):
        halves = Simplified(Prepare(config), Denoiser(config))
    for half, recipes in zip(halves, (prepare_recipes(config), denoiser_recipes(config)), strict=True):
        folded = {name: evaluate(recipe, weights.__getitem__) for name, recipe in recipes.items()}
        half.load_state_dict(folded, strict=True, assign=True)
        half.eval().requires_grad_(False)
    return halves
