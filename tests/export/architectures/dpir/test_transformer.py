"""The network as the paper tells of it: what it reads, where the LQ branch joins, and what is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.dual_prompted import dual_prompted_inputs, seeded_dpir, velocity_of

from dit4sr.export.architectures.dpir.config import SMALLEST, DpirConfig, Statistics
from dit4sr.export.architectures.dpir.layout import discarded_tensors, released_layout
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.runtime.errors import BadInputError


def test_everything_it_is_given_reaches_the_velocity():
    model, inputs = seeded_dpir(SMALLEST), dual_prompted_inputs(SMALLEST)
    velocity = velocity_of(model, inputs)
    assert velocity.shape == inputs["latent"].shape
    for name, values in inputs.items():
        assert not torch.equal(
            velocity_of(model, {**inputs, name: values + torch.rand_like(values)}), velocity
        ), name


@pytest.mark.parametrize("statistics", Statistics)
def test_every_tensor_learns_but_those_that_never_reach_the_output(statistics):
    config = replace(SMALLEST, statistics=statistics)
    model = seeded_dpir(config).requires_grad_(True)
    inputs = dual_prompted_inputs(config)
    velocity_of(model, inputs).square().sum().backward()
    largest = {name: 0.0 if p.grad is None else p.grad.abs().max() for name, p in model.named_parameters()}
    scale = max(largest.values())
    assert {name for name, gradient in largest.items() if gradient < 1e-12 * scale} == discarded_tensors(
        config
    )
    assert largest.keys() | {POSITION_TABLE} == released_layout(config).keys()


def test_a_plain_random_network_trains_a_few_steps():
    torch.manual_seed(0)
    model, inputs = Transformer(SMALLEST), dual_prompted_inputs(SMALLEST)
    given = {name: values.float() for name, values in inputs.items()}
    target, optimiser = torch.randn_like(given["latent"]), torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = (velocity_of(model, given) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_prompts_have_no_order():
    """Rows of T5 and of both crops are one set to the blocks: how they are joined is no choice."""
    config = replace(SMALLEST, own_global_adapter=False)
    model, inputs = seeded_dpir(config), dual_prompted_inputs(config)
    swapped = inputs | {"local_image": inputs["global_image"], "global_image": inputs["local_image"]}
    torch.testing.assert_close(velocity_of(model, swapped), velocity_of(model, inputs), rtol=0, atol=1e-12)
    own = seeded_dpir(SMALLEST)
    assert not torch.allclose(velocity_of(own, swapped), velocity_of(own, inputs), rtol=0, atol=1e-3)


def test_the_branch_joins_once_after_the_first_block_with_that_blocks_statistics():
    config = replace(SMALLEST, lq_scale=0.5)
    model, inputs = seeded_dpir(config), dual_prompted_inputs(config)
    seen = {}
    for layer, block in enumerate(model.transformer_blocks):
        block.register_forward_hook(lambda _, args, out, layer=layer: seen.update({layer: (args, out)}))
    velocity_of(model, inputs)
    before, after = seen[0][1][0], seen[1][0][0]
    added = (after - before) / 0.5
    for row in range(2):
        torch.testing.assert_close(added[row].mean(), before[row].mean(), rtol=0, atol=1e-9)
        torch.testing.assert_close(
            added[row].std(unbiased=False), before[row].std(unbiased=False), rtol=1e-3, atol=0
        )
    assert torch.equal(seen[2][0][0], seen[1][1][0])


def test_the_defaults_are_sd3_medium_and_what_is_ours():
    config = DpirConfig()
    assert (config.width, config.backbone.num_layers, config.backbone.qk_norm) == (1536, 24, False)
    assert DpirConfig.from_json(config.to_json(), source="here") == config


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"lq_kernel": 2}, "lq_kernel is 2"),
        ({"statistics": "row"}, "'row' is not a valid Statistics"),
        ({"lq_scale": float("nan")}, "lq_scale is nan"),
        ({"global_reach": 0.5}, "global_reach is 0.5"),
        ({"image_layer": 3}, "image_layer is 3"),
        ({"image_tokens": 0}, "image_tokens is 0"),
        ({"class_token": 1}, "class_token is 1"),
        ({"backbone": {"num_layers": 2}}, "'dual_attention_layers'"),
    ],
)
def test_a_config_that_no_network_has_is_refused_in_a_line(changed, named):
    with pytest.raises(BadInputError, match="the manifest") as refusal:
        DpirConfig.from_json(SMALLEST.to_json() | changed, source="the manifest")
    assert named in refusal.value.found


def test_a_network_of_one_block_is_one():
    config = replace(SMALLEST, backbone=Stack(1), lq_convolutions=1)
    assert velocity_of(seeded_dpir(config), dual_prompted_inputs(config)).isfinite().all()
