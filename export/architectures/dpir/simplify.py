"""Exact simplification in memory: the network as told of, folded into the one we deploy."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dit4sr.export.architectures.dpir.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dpir.deployed.prepare import Prepare
from dit4sr.export.architectures.dpir.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.simplify import folded


class Simplified(NamedTuple):
    """A simplified network, in its two halves."""

    prepare: Prepare
    denoiser: Denoiser


def simplify(model: Transformer) -> Simplified:
    """Fold a network, in memory, into the simplified one."""
    config, weights = model.config, model.state_dict()
    with torch.device("meta"):
        halves = Simplified(Prepare(config), Denoiser(config))
    return Simplified(
        folded(halves.prepare, prepare_recipes(config), weights),
        folded(halves.denoiser, denoiser_recipes(config), weights),
    )
