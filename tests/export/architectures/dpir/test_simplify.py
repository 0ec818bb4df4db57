"""What is deployed computes what was told of, and reads no dead weight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.dual_prompted import dual_prompted_inputs, seeded_dpir, velocity_of

from dit4sr.export.architectures.dpir.config import SMALLEST, Statistics
from dit4sr.export.architectures.dpir.layout import discarded_tensors, released_layout
from dit4sr.export.architectures.dpir.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.dpir.simplify import simplify
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.weights.folds import sources

CONFIGS = {
    "smallest": SMALLEST,
    "plain, no norms": replace(SMALLEST, backbone=Stack(3, qk_norm=False)),
    "one block": replace(SMALLEST, backbone=Stack(1), lq_convolutions=1),
    "by channel, weighed": replace(SMALLEST, statistics=Statistics.CHANNEL, lq_scale=0.7),
    "by token, one adapter": replace(SMALLEST, statistics=Statistics.TOKEN, own_global_adapter=False),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("size", [(8, 12), (6, 6)], ids=str)
def test_the_simplified_network_computes_the_same(config, size):
    model, inputs = seeded_dpir(config), dual_prompted_inputs(config, size)
    wanted, (prepare, denoiser) = velocity_of(model, inputs), simplify(model)
    positions = model.pos_embed.positions((size[0] // 2, size[1] // 2))[0]
    seen = (inputs[name] for name in ("local_image", "global_image", "pooled"))
    lq, text, image, *of_steps = prepare(inputs["condition"], inputs["text"], inputs["timestep"], *seen)
    for row in range(2):  # each has a time of its own, which is that step
        found = denoiser(inputs["latent"], lq, text, image, positions, *(each[row] for each in of_steps))
        error = (found[row] - wanted[row]).abs().max() / wanted.abs().max()
        assert error < 1e-12


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_tensor_is_read_but_the_dead_and_the_table(config):
    recipes = [*prepare_recipes(config).values(), *denoiser_recipes(config).values()]
    read = {key for recipe in recipes for key in sources(recipe)}
    unread = released_layout(config).keys() - read
    assert unread == {*discarded_tensors(config), POSITION_TABLE}
