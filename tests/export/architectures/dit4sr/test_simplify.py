"""Simplification is exact: every fold alone, and all of them together."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support.networks import inputs_for, seeded_transformer, tiny_config
from torch import nn

from dit4sr.export.architectures.dit4sr import recipes
from dit4sr.export.architectures.dit4sr.config import Flavour, Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import Prepare, modulation_widths
from dit4sr.export.architectures.dit4sr.layout import discarded_tensors, read_tensors
from dit4sr.export.architectures.dit4sr.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.dit4sr.simplify import simplify
from dit4sr.export.architectures.mmdit.simplify import resident_parameters
from dit4sr.export.weights import folds
from dit4sr.export.weights.folds import Fold, evaluate, sources


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, dtype=torch.float64).requires_grad_(False)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


# --- One fold at a time --------------------------------------------------------------------------


def test_two_linear_layers_in_a_row_are_one():
    inner, outer = linear(24, 32), linear(32, 40)
    weight = folds.compose_weights(outer.weight, inner.weight)
    bias = folds.compose_biases(outer.weight, inner.bias, outer.bias)
    x = torch.randn(7, 24, dtype=torch.float64)
    torch.testing.assert_close(F.linear(x, weight, bias), outer(inner(x)), rtol=1e-13, atol=1e-13)


def test_composing_in_half_rounds_once():
    """The composed FP16 layer is no further from the truth than two rounded layers are."""
    inner, outer = linear(256, 256), linear(256, 256)
    x = torch.randn(64, 256, dtype=torch.float64)
    inner_half, outer_half = (nn.Linear(256, 256).half().requires_grad_(False) for _ in range(2))
    inner_half.load_state_dict(inner.state_dict())
    outer_half.load_state_dict(outer.state_dict())
    weight = folds.compose_weights(outer_half.weight, inner_half.weight)
    bias = folds.compose_biases(outer_half.weight, inner_half.bias, outer_half.bias)
    exact = F.linear(
        F.linear(x.half().double(), inner_half.weight.double(), inner_half.bias.double()),
        outer_half.weight.double(),
        outer_half.bias.double(),
    )
    composed_error = (F.linear(x.half(), weight, bias).double() - exact).square().mean()
    two_step_error = (outer_half(inner_half(x.half())).double() - exact).square().mean()
    assert weight.dtype == torch.float16
    assert composed_error < 1.5 * two_step_error


def test_products_of_one_input_stack():
    layers = [linear(16, width) for width in (8, 24, 16)]
    weight = folds.stack_rows(*(layer.weight for layer in layers))
    bias = folds.stack_rows(*(layer.bias for layer in layers))
    x = torch.randn(5, 16, dtype=torch.float64)
    torch.testing.assert_close(F.linear(x, weight, bias), torch.cat([layer(x) for layer in layers], -1))


def test_injection_scale_is_absorbed_and_taps_are_channels_last():
    conv = nn.Conv2d(12, 12, 3, padding=1, groups=12, dtype=torch.float64).requires_grad_(False)
    maps = torch.randn(2, 12, 5, 7, dtype=torch.float64)
    taps = recipes.channels_last_taps(recipes.absorb_injection_scale(conv.weight))
    assert taps.shape == (3, 3, 12)
    padded = F.pad(maps, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    filtered = recipes.absorb_injection_scale(conv.bias) + sum(
        padded[:, dy : dy + 5, dx : dx + 7] * taps[dy, dx] for dy in range(3) for dx in range(3)
    )
    torch.testing.assert_close(filtered.permute(0, 3, 1, 2), 1.2 * conv(maps))


def test_copied_lr_keys_are_not_even_read():
    config = tiny_config(Flavour.COPIED)
    read = {key for recipe in denoiser_recipes(config).values() for key in sources(recipe)}
    assert not any("to_k_control" in key for key in read)
    assert any("to_k_control" in key for key in _all_sources(tiny_config(Flavour.OWN)))


def test_final_text_asks_nothing():
    """Dropping the final block's text queries changes nothing, though the released code computes them."""
    config = tiny_config()
    model, inputs = seeded_transformer(config), inputs_for(config)
    base = model(**inputs)
    model.transformer_blocks[-1].attn.add_q_proj.weight.mul_(-3)
    assert torch.equal(model(**inputs), base)
    assert not any("blocks.3.attn.add_q_proj" in key for key in _all_sources(config))


def test_all_modulations_are_one_product(config):
    """`Prepare` gives each step what the released AdaLN layers do, in the order the denoiser takes it."""
    model, inputs = seeded_transformer(config), inputs_for(config)
    timesteps = torch.tensor([999.0, 500.0, 3.0])
    _, _, *modulations = simplify(model).prepare(
        inputs["condition"], inputs["text"], inputs["pooled"], timesteps
    )
    assert [part.shape for part in modulations] == [
        (3, 2, width) for width in modulation_widths(config).values()
    ]
    modulation = torch.cat(modulations, dim=-1)
    for step, time in enumerate(timesteps):
        steering = model.time_text_embed(time.expand(2), inputs["pooled"])
        layers = [model.get_submodule(key) for key in recipes.modulation_keys(config)]
        expected = torch.cat([layer(F.silu(steering)) for layer in layers], -1)
        torch.testing.assert_close(modulation[step], expected, rtol=1e-12, atol=1e-12)


def test_hoisted_tokens_are_the_released_ones():
    config = tiny_config()
    model, inputs = seeded_transformer(config), inputs_for(config, (8, 20))
    lr_tokens, text_tokens, *_ = simplify(model).prepare(
        inputs["condition"],
        inputs["text"],
        inputs["pooled"],
        inputs["timestep"],
    )
    expected = model.pos_embed(inputs["condition"])
    torch.testing.assert_close(lr_tokens + model.pos_embed.positions((4, 10)), expected, rtol=0, atol=0)
    torch.testing.assert_close(text_tokens, model.context_embedder(inputs["text"]), rtol=0, atol=0)


# --- All of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("latent", "rows"), [((16, 16), 1), ((8, 20), 3), ((18, 6), 2)])
def test_simplified_equals_released(config, latent, rows):
    model, inputs = seeded_transformer(config), inputs_for(config, latent, rows)
    prepare, denoiser = simplify(model)
    positions = model.pos_embed.positions((latent[0] // 2, latent[1] // 2))
    timesteps = torch.tensor([1000.0, 731.0, 8.9286])
    lr_tokens, text_tokens, *modulations = prepare(
        inputs["condition"], inputs["text"], inputs["pooled"], timesteps
    )
    for step, time in enumerate(timesteps):
        expected = model(**{**inputs, "timestep": time.expand(rows)})
        own = [modulation[step] for modulation in modulations]
        velocity = denoiser(inputs["latent"], lr_tokens, text_tokens, positions, *own)
        assert (velocity - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_every_live_tensor_is_used_and_no_dead_one(config):
    """Nothing of the checkpoint is lost in simplification but what is dead, and the position table."""
    if config.injection is Injection.NONE:
        # Variant c's final LR tensors are dead only there; the denoiser keeps its shape for their sake.
        discarded = {key for key in discarded_tensors(config) if "control" not in key or "to_k" in key}
    else:
        discarded = discarded_tensors(config)
    live = read_tensors(config).keys() - discarded - {"pos_embed.pos_embed"}
    assert _all_sources(config) == live


def test_recipes_name_every_simplified_weight(config):
    with torch.device("meta"):
        assert prepare_recipes(config).keys() == Prepare(config).state_dict().keys()
        assert denoiser_recipes(config).keys() == Denoiser(config).state_dict().keys()


def test_a_recipe_reads_only_what_it_needs():
    read: list[str] = []
    recipe = Fold(folds.compose_weights, ("outer", "inner"))
    evaluate(recipe, lambda key: read.append(key) or torch.eye(2))
    assert read == ["outer", "inner"]


def test_resident_parameters_at_full_size():
    with torch.device("meta"):
        resident = {
            flavour: resident_parameters(Denoiser(TransformerConfig(flavour=flavour))) for flavour in Flavour
        }
    assert resident == {Flavour.COPIED: 1_722_510_464, Flavour.OWN: 1_809_861_248}


def _all_sources(config: TransformerConfig) -> set[str]:
    recipes = [*prepare_recipes(config).values(), *denoiser_recipes(config).values()]
    return {key for recipe in recipes for key in sources(recipe)}
