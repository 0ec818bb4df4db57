"""The released model: golden values, and what each of its parts does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.networks import inputs_for, seeded_transformer, tiny_config

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.layout import released_layout
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.runtime.errors import BadInputError

# Produced once by the released modules in FP64: mean, deviation, largest magnitude, then five places.
PLACES = [(0, 0, 0, 0), (0, 5, 3, 7), (0, 15, 15, 15), (1, 0, 0, 0), (1, 8, 10, 2)]
GOLDEN = {
    Flavour.COPIED: [
        *(-0.15818017, 0.98338022, 3.25185945),
        *(-0.80390742, -0.97304625, -1.49316179, 0.05742265, -0.05627918),
    ],
    Flavour.OWN: [
        *(-0.17998116, 1.01026283, 3.23006165),
        *(-0.79724538, -1.16332510, -1.35987828, -0.60974007, 0.15739559),
    ],
}
# The released code takes its norm's variance and the time embedding's waves in FP32. Processors disagree on
# the last digits of an exponential, which turns the waves as another time would.
LAST_DIGITS = 2.0**-22


def hashed(index: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Uniform numbers in ±0.5 from a formula, so that no file of weights is needed."""
    places = np.arange(1, math.prod(shape) + 1, dtype=np.float64)
    waves = np.sin(12.9898 * places + 78.233 * (index + 1)) * 43758.5453
    return torch.from_numpy((waves - np.floor(waves) - 0.5).reshape(shape))


def golden_transformer(config: TransformerConfig) -> Transformer:
    model = Transformer(config).double().requires_grad_(False)
    state = model.state_dict()
    keys = sorted(key for key in released_layout(config) if key != POSITION_TABLE)
    assert len(keys) == 234
    for index, key in enumerate(keys):
        if key in state:
            is_norm = any(part in key for part in (".norm_q.", ".norm_k.", ".norm_added_"))
            weight = hashed(index, tuple(state[key].shape))
            state[key].copy_(1 + 0.6 * weight if is_norm else 0.3 * weight)
    return model


@pytest.mark.parametrize("flavour", Flavour)
def test_golden_values(flavour):
    model = golden_transformer(tiny_config(flavour))
    assert model.context_embedder.bias[:3].tolist() == pytest.approx(
        [0.0720254, 0.0193185, -0.0135752], abs=5e-8
    )

    def found(time: float) -> np.ndarray:
        velocity = model(
            2 * hashed(1001, (2, 16, 16, 16)),
            2 * hashed(1002, (2, 16, 16, 16)),
            2 * hashed(1003, (2, 10, 96)),
            2 * hashed(1004, (2, 80)),
            torch.full((2,), time),
        )
        seen = [velocity.mean(), velocity.std(), velocity.abs().max(), *(velocity[place] for place in PLACES)]
        return np.array([value.item() for value in seen])

    turned = max(np.abs(found(731.0 * (1 + sign * LAST_DIGITS)) - found(731.0)).max() for sign in (-1, 1))
    assert turned < 1e-4  # no excuse for anything but the waves
    assert np.abs(found(731.0) - GOLDEN[flavour]).max() <= turned


def test_position_table_is_the_formula():
    table = Transformer(tiny_config()).pos_embed.pos_embed
    assert table[0, 200, :3].tolist() == pytest.approx([0.4572726, 0.9094148, 0.9974650], abs=1e-7)
    assert table[0, 226, 70].item() == pytest.approx(0.5085362, abs=1e-7)
    assert table.double().sum().item() == pytest.approx(35631.2830, abs=1e-4)


def test_positions_are_cropped_around_the_centre_of_each_axis():
    embedding = Transformer(tiny_config()).pos_embed
    table = embedding.pos_embed.view(24, 24, -1)
    assert torch.equal(embedding.positions((4, 10)).view(4, 10, -1), table[10:14, 7:17])


def test_every_input_reaches_the_output(config):
    model, inputs = seeded_transformer(config), inputs_for(config)
    base = model(**inputs)
    for name in inputs:
        changed = {**inputs, name: inputs[name] + 0.1}
        assert (model(**changed) - base).abs().max() > 1e-6, name


def test_rows_do_not_see_each_other(config):
    model, inputs = seeded_transformer(config), inputs_for(config, rows=3)
    last = {name: value[2:] for name, value in inputs.items()}
    torch.testing.assert_close(model(**last), model(**inputs)[2:], rtol=1e-12, atol=1e-12)


def test_variants_differ_from_the_full_model(flavour):
    """On the weights they share, each ablation must change the result."""
    full, inputs = seeded_transformer(tiny_config(flavour)), inputs_for(tiny_config(flavour))
    base = full(**inputs)
    for variant in set(Variant) - {Variant.FULL}:
        if variant is Variant.A and flavour is Flavour.COPIED:
            continue
        model = seeded_transformer(tiny_config(flavour, variant))
        model.load_state_dict(full.state_dict(), strict=False)
        assert (model(**inputs) - base).abs().max() > 1e-3, variant


def test_variant_a_needs_lr_keys_of_its_own():
    with pytest.raises(BadInputError, match="flavour own"):
        tiny_config(Flavour.COPIED, Variant.A)


def test_a_latent_that_patches_do_not_tile_is_refused():
    model = seeded_transformer(tiny_config())
    with pytest.raises(ValueError, match="15×16"):
        model(**inputs_for(tiny_config(), latent=(15, 16)))


def rounding_steps(flavour: Flavour, dtype: torch.dtype) -> float:
    """How far a precision strays from FP64, in units of its own rounding step."""
    config = tiny_config(flavour)
    exact = seeded_transformer(config)(**inputs_for(config))
    rounded = seeded_transformer(config).to(dtype)(**inputs_for(config, dtype=dtype)).double()
    error = ((rounded - exact).square().mean() / exact.square().mean()).sqrt()
    return error.item() / torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_err_by_their_rounding_and_no_more(flavour, dtype):
    assert rounding_steps(flavour, dtype) < 2 * rounding_steps(flavour, torch.float32)
