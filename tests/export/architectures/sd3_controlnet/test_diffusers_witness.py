"""An independent witness: diffusers' own control net and transformer, on the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.controlled import narrow_config, seeded_system, stated_configs
from support.networks import inputs_for
from support.stock import give_norms_full_precision

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet.config import (
    ControlPooled,
    ControlShift,
    ResidualRule,
    SystemConfig,
)
from dit4sr.export.architectures.sd3_controlnet.simplify import simplify

diffusers = pytest.importorskip("diffusers")

BACKBONE = Stack(24, tuple(range(13)))
SCALE = 0.8


def stock_velocity(ours, config: SystemConfig, inputs, condition, pooled) -> torch.Tensor:
    """What diffusers' pipeline computes in a step, with its own classes."""
    stated = stated_configs(config)
    nets = {
        "transformer": diffusers.SD3Transformer2DModel.from_config(stated["transformer"]),
        "controlnet": diffusers.SD3ControlNetModel.from_config(stated["controlnet"]),
    }
    for name, net in nets.items():
        net.double().eval().load_state_dict(getattr(ours, name).state_dict(), strict=True)
        give_norms_full_precision(net)
    shared = {"hidden_states": inputs["latent"], "encoder_hidden_states": inputs["text"]}
    time = inputs["timestep"].float()  # diffusers embeds the time in FP32
    with torch.no_grad():
        residuals = nets["controlnet"](
            **shared,
            controlnet_cond=condition,
            pooled_projections=pooled,
            timestep=time,
            conditioning_scale=SCALE,
        ).controlnet_block_samples
        if config.residual_rule is ResidualRule.INTEGER:
            residuals = one_for_each_block(residuals, config)
        return nets["transformer"](
            **shared,
            pooled_projections=inputs["pooled"],
            timestep=time,
            block_controlnet_hidden_states=residuals,
        ).sample


def one_for_each_block(residuals, config: SystemConfig):
    """Residuals as diffusers before 0.32 chose them: its rule, in the words of its source."""
    blocks = config.backbone.num_layers
    interval = blocks // len(residuals)
    return [residuals[layer // interval] for layer in range(blocks - 1)] + [torch.tensor(float("nan"))]


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


CASES = {
    "2 plain": (Stack(2, ()), {}),
    "6 dual, square": (Stack(6, tuple(range(6))), {"extra_conditioning_channels": 1}),
    "12 dual": (Stack(12, tuple(range(12))), {"extra_conditioning_channels": 16}),
    "12 dual and plain": (Stack(12, (0, 1, 5)), {}),
    "6 plain without norms": (Stack(6, (), qk_norm=False), {"backbone": Stack(24, (), qk_norm=False)}),
    "6 integer": (Stack(6, tuple(range(6))), {"residual_rule": ResidualRule.INTEGER}),
    "23 float": (Stack(23, tuple(range(13))), {}),
    "23 integer": (
        Stack(23, tuple(range(13))),
        {"residual_rule": ResidualRule.INTEGER, "extra_conditioning_channels": 1},
    ),
    "2 integer": (Stack(2, (0, 1)), {"residual_rule": ResidualRule.INTEGER}),
    "12 integer": (Stack(12, tuple(range(12))), {"residual_rule": ResidualRule.INTEGER}),
}


@pytest.mark.parametrize("latent", [(16, 16), (8, 20)])
@pytest.mark.parametrize("case", CASES)
def test_it_is_diffusers_control_net_and_transformer(case, latent):
    control, choices = CASES[case]
    config = narrow_config(**{"backbone": BACKBONE, "control": control, "control_scale": SCALE} | choices)
    ours = seeded_system(config)
    inputs = inputs_for(config, latent)
    inputs["timestep"] = inputs["timestep"].float()
    generator = torch.Generator().manual_seed(3)
    condition = torch.randn(2, config.condition_channels, *latent, generator=generator, dtype=torch.float64)
    arguments = (inputs["text"], inputs["pooled"], inputs["timestep"])
    residuals = ours.controlnet(inputs["latent"], condition, *arguments, scale=SCALE)
    velocity = ours.transformer(inputs["latent"], *arguments, residuals)
    expected = stock_velocity(ours, config, inputs, condition, inputs["pooled"])
    assert difference(velocity, expected) < 1e-10
    # The control net is heard, and its weight counts.
    assert difference(ours.transformer(inputs["latent"], *arguments), expected) > 1e-3


@pytest.mark.parametrize("extra", [0, 1, 16])
@pytest.mark.parametrize("pooled", ControlPooled)
@pytest.mark.parametrize("shift", ControlShift)
def test_stated_choices_are_what_the_pipeline_does(pooled, shift, extra):
    """``force_zeros_for_pooled_projection`` decides both in diffusers' pipeline; here each is its own."""
    config = narrow_config(
        Stack(4, (0,)),
        Stack(2, (0,)),
        extra_conditioning_channels=extra,
        control_pooled=pooled,
        control_shift=shift,
        control_scale=SCALE,
    )
    ours = seeded_system(config)
    inputs = inputs_for(config)
    inputs["timestep"] = inputs["timestep"].float()
    encoded = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    scaling, vae_shift = 1.5305, 0.0609
    inputs["condition"] = (encoded - vae_shift) * scaling

    subtracted = vae_shift if shift is ControlShift.VAE else 0.0
    condition = torch.cat([(encoded - subtracted) * scaling, torch.zeros(2, extra, 16, 16).double()], dim=1)
    seen = inputs["pooled"] if pooled is ControlPooled.TEXT else torch.zeros_like(inputs["pooled"])
    expected = stock_velocity(ours, config, inputs, condition, seen)
    assert difference(ours(**inputs), expected) < 1e-10


def test_the_maps_of_the_fact_sheet():
    def residuals(count: int, rule: ResidualRule = ResidualRule.FLOAT) -> tuple[int, ...]:
        return narrow_config(BACKBONE, Stack(count), residual_rule=rule).residual_of

    assert residuals(12) == tuple(layer // 2 for layer in range(23))
    assert residuals(6) == tuple(layer // 4 for layer in range(23))
    assert residuals(23) == (0, *range(22))
    assert residuals(18)[:7] == (0, 0, 1, 2, 3, 3, 4)
    assert residuals(23, ResidualRule.INTEGER) == tuple(range(23))
    with pytest.raises(ValueError, match="rule integer leaves blocks without one of the 18 residuals"):
        residuals(18, ResidualRule.INTEGER)


SIMPLIFIED = {
    **CASES,
    "pooled text": (Stack(12, (0,)), {"control_pooled": ControlPooled.TEXT}),
    "shift": (Stack(12, (0,)), {"control_shift": ControlShift.VAE, "extra_conditioning_channels": 1}),
    "one block is read": (Stack(2, (0, 1)), {"backbone": Stack(2, (0,))}),
}


@pytest.mark.parametrize("case", SIMPLIFIED)
@pytest.mark.parametrize("latent", [(16, 16), (8, 20)])
def test_simplified_it_computes_the_same(case, latent):
    control, choices = SIMPLIFIED[case]
    config = narrow_config(**{"backbone": BACKBONE, "control": control, "control_scale": SCALE} | choices)
    model = seeded_system(config)
    prepare, denoiser = simplify(model)
    inputs = inputs_for(config, latent)
    positions = model.transformer.pos_embed.positions((latent[0] // 2, latent[1] // 2))[0].double()
    prepared = prepare(inputs["condition"], inputs["text"], inputs["pooled"], inputs["timestep"])
    condition_tokens, text, scale, *modulations = prepared
    for row in range(2):  # a step of its own for each
        now = [modulation[row] for modulation in modulations]
        found = denoiser(inputs["latent"], condition_tokens, text, scale[row], positions, *now)
        one = inputs | {"timestep": inputs["timestep"][row].expand(2)}
        assert difference(found, model(**one)) < 1e-12
        # A step that the control net is not heard in is the backbone's.
        unheard = denoiser(
            inputs["latent"], condition_tokens, text, torch.zeros_like(scale[row]), positions, *now
        )
        alone = model.transformer(inputs["latent"], inputs["text"], inputs["pooled"], one["timestep"])
        assert difference(unheard, alone) < 1e-12


def test_start_and_end_are_the_pipelines():
    base = narrow_config(Stack(4, (0,)), Stack(2, (0,)), control_scale=SCALE)
    for steps in (1, 2, 3, 10, 28, 40):
        for start, end in ((0, 1), (0, 0.5), (0.3, 1), (0.3, 0.7), (0.1, 0.9)):
            config = replace(base, control_start=start, control_end=end)
            prepare, _ = simplify(seeded_system(config, torch.float32))
            kept = [1.0 - float(i / steps < start or (i + 1) / steps > end) for i in range(steps)]
            found = prepare.scale(torch.linspace(1000, 9, steps))
            torch.testing.assert_close(found, SCALE * torch.tensor(kept))
