"""Exact simplification in memory: released networks folded into those we deploy."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dit4sr.export.architectures.mmdit.simplify import folded
from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import Denoiser
from dit4sr.export.architectures.sd3_controlnet.deployed.prepare import Prepare
from dit4sr.export.architectures.sd3_controlnet.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer


class Simplified(NamedTuple):
    """Simplified networks, in two halves."""

    prepare: Prepare
    denoiser: Denoiser


def simplify(model: ControlledTransformer) -> Simplified:
    """Fold released networks, in memory, into the simplified ones."""
    config, weights = model.config, model.state_dict()
    with torch.device("meta"):
        halves = Simplified(Prepare(config), Denoiser(config))
    return Simplified(
        folded(halves.prepare, prepare_recipes(config), weights),
        folded(halves.denoiser, denoiser_recipes(config), weights),
    )
