"""Loading: sound pairs of networks strictly, damaged or mismatched ones in one line each."""

from __future__ import annotations

import json
import random
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.controlled import narrow_config, seeded_system, write_system
from support.damage import ANYWHERE, edit_json

from dit4sr.export import architectures
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet import ARCHITECTURE
from dit4sr.export.architectures.sd3_controlnet.config import (
    SMALLEST,
    ControlPooled,
    ControlShift,
    ResidualRule,
)
from dit4sr.export.architectures.sd3_controlnet.loading import load_system
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.errors import BadInputError, Dit4srError, IntegrityError

GENERAL = [
    damage
    for damage in ANYWHERE
    # Of DiT4SR's own weights and fields, not seen before a weight is read, or no folder left to look at.
    if damage.__name__
    not in {
        "lose_every_lr_weight",
        "train_half_of_the_lr_keys",
        "garble_the_config",
        "spoil_a_number",
        "leave_nothing",
    }
]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return write_system(tmp_path / "system", SMALLEST)


def load(folder, **choices):
    return ARCHITECTURE.load(open_checkpoint(folder), choices)


def rewrite(file, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file)


@pytest.mark.parametrize(
    "config",
    [
        narrow_config(Stack(6, (0, 1)), Stack(3, (0, 2)), extra_conditioning_channels=16),
        narrow_config(Stack(4, ()), Stack(4, (), qk_norm=False)),
        narrow_config(Stack(4, (), qk_norm=False), Stack(2, (1,)), extra_conditioning_channels=1),
    ],
)
@pytest.mark.parametrize("with_configs", [True, False])
def test_layers_norms_and_channels_are_told_by_the_keys(tmp_path, config, with_configs):
    folder = write_system(tmp_path / "system", config)
    if not with_configs:  # all but what heads and the training grid are, which no tensor tells
        for part in ("transformer", "controlnet"):
            kept = {"sample_size": config.sample_size, "attention_head_dim": config.attention_head_dim}
            (folder / part / "config.json").write_text(json.dumps(kept))
    assert architectures.detect(open_checkpoint(folder)) is ARCHITECTURE
    network = load(folder)
    assert network.config == config
    assert json.loads(json.dumps(network.to_json())) == network.to_json()
    weights = seeded_system(config, torch.float32).state_dict()
    assert all(torch.equal(network.weights.read(key), weights[key]) for key in weights)
    assert load_system(folder, config).state_dict().keys() == weights.keys()


def test_what_keys_cannot_tell_is_stated(folder):
    default = load(folder).config
    assert (default.residual_rule, default.control_pooled) == (ResidualRule.FLOAT, ControlPooled.ZERO)
    assert default.control_shift is ControlShift.ZERO
    said = load(folder, residual_rule="integer", control_pooled="text", control_shift="vae", control_end=0.5)
    assert said.to_json()["residual_rule"] == "integer"
    assert said.config.control_pooled is ControlPooled.TEXT
    assert (said.config.control_shift, said.config.control_end) == (ControlShift.VAE, 0.5)


def test_diffusers_flag_decides_both_choices_where_nobody_else_does(folder):
    edit_json(
        folder / "controlnet" / "config.json",
        lambda stated: stated.update(force_zeros_for_pooled_projection=False),
    )
    found = load(folder).config
    assert (found.control_pooled, found.control_shift) == (ControlPooled.TEXT, ControlShift.VAE)
    assert load(folder, control_shift="zero").config.control_shift is ControlShift.ZERO


def test_the_shift_is_the_vaes(folder):
    (folder / "vae").mkdir()
    (folder / "vae" / "config.json").write_text(json.dumps({"scaling_factor": 2.0, "shift_factor": 0.25}))
    assert load(folder).config.condition_offset == 0.5


def test_a_control_net_made_of_a_transformer_may_list_dual_layers_beyond_its_own(folder):
    """``from_transformer`` copies the list as it is."""
    edit_json(
        folder / "controlnet" / "config.json", lambda stated: stated.update(dual_attention_layers=[0, 5, 9])
    )
    assert load(folder).config.control.dual_attention_layers == (0,)


def test_an_old_file_of_23_layers_must_say_its_rule(tmp_path):
    config = narrow_config(Stack(24), Stack(23))
    folder = write_system(tmp_path / "old", config)
    edit_json(
        folder / "controlnet" / "config.json", lambda stated: stated.update(_diffusers_version="0.29.2")
    )
    with pytest.raises(
        BadInputError, match=r"by diffusers 0\.29\.2, .* of 23 .*; say --residual-rule integer"
    ):
        load(folder)
    assert load(folder, residual_rule="integer").config.residual_of == tuple(range(23))
    with pytest.raises(BadInputError, match="rule integer leaves blocks without one of the 18 residuals"):
        load(write_system(tmp_path / "18", narrow_config(Stack(24), Stack(18))), residual_rule="integer")


# --- Damaged and mixed up ------------------------------------------------------------------------


def swapped(folder):
    (folder / "transformer").rename(folder / "other")
    (folder / "controlnet").rename(folder / "transformer")
    (folder / "other").rename(folder / "controlnet")


def twice_the_transformer(folder):
    shutil.rmtree(folder / "controlnet")
    shutil.copytree(folder / "transformer", folder / "controlnet")


def another_width(folder):
    shutil.rmtree(folder / "controlnet")
    wider = write_system(folder / "wider", narrow_config(Stack(4), Stack(2)))
    (wider / "controlnet").rename(folder / "controlnet")


def single_stream(folder):
    def without_text(tensors):
        for key in [key for key in tensors if "context_embedder" in key or ".add_" in key]:
            del tensors[key]

    rewrite(folder / "controlnet" / WEIGHTS, without_text)


def without(part, key):
    return lambda folder: rewrite(folder / part / WEIGHTS, lambda tensors: tensors.pop(key))


def with_more(part, key):
    return lambda folder: rewrite(
        folder / part / WEIGHTS, lambda tensors: tensors.update({key: torch.zeros(3)})
    )


def config_says(part, **values):
    return lambda folder: edit_json(folder / part / "config.json", lambda stated: stated.update(values))


HARM = {
    "folders swapped": (swapped, "transformer holds a control net; expected SD3's network in transformer/"),
    "two transformers": (twice_the_transformer, "controlnet holds no control net"),
    "another width": (another_width, "the control net in .* has attention_head_dim 8; expected 32, as the"),
    "single stream": (
        single_stream,
        "holds single-stream blocks .*, SD3.5-Large's kind; expected joint blocks",
    ),
    "a block is gone": (
        lambda folder: rewrite(
            folder / "controlnet" / WEIGHTS,
            lambda tensors: [
                tensors.pop(key) for key in [*tensors] if key.startswith("transformer_blocks.0.")
            ],
        ),
        "has no block 0, but later ones",
    ),
    "a tensor is gone": (
        without("controlnet", "pos_embed_input.proj.bias"),
        "lacks pos_embed_input.proj.bias",
    ),
    "a residual is gone": (without("controlnet", "controlnet_blocks.1.weight"), "lacks controlnet_blocks.1"),
    "backbone without output": (without("transformer", "proj_out.bias"), "lacks proj_out.bias"),
    "unknown tensor": (with_more("controlnet", "what.weight"), "has what.weight, unknown to its control net"),
    "DiT4SR's transformer": (
        with_more("transformer", "transformer_blocks.0.attn.to_q_control.weight"),
        "has transformer_blocks.0.attn.to_q_control.weight, unknown to SD3",
    ),
    "config of another": (
        config_says("controlnet", num_layers=12),
        "config.json says num_layers = 12, the weights say 2",
    ),
    "config without norms": (config_says("transformer", qk_norm=None), "config.json says qk_norm = None"),
    "no control net in the folder": (
        lambda folder: [path.unlink() for path in (folder / "controlnet").iterdir()],
        "controlnet holds no weights",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_does_not_fit_is_refused_in_one_line(folder, harm):
    change, message = HARM[harm]
    change(folder)
    with pytest.raises(BadInputError, match=message) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)


def test_extra_channels_are_held_against_what_was_said(folder):
    with pytest.raises(BadInputError, match="has 0 extra channels; expected 16, as was said"):
        load(folder, extra_channels=16)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_system(tmp_path_factory.mktemp("sound") / "system", SMALLEST)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.sampled_from(GENERAL), seed=st.integers(0, 2**32))
def test_either_folder_damaged_is_refused_with_a_typed_error(sound, tmp_path_factory, damage, seed):
    folder = tmp_path_factory.mktemp("damaged") / "system"
    shutil.copytree(sound, folder)
    # Ways of damage look for ``transformer/``: let them find the other folder under its name.
    part = ("transformer", "controlnet")[seed % 2]
    alone = folder.parent / "alone"
    alone.mkdir()
    (folder / part).rename(alone / "transformer")
    damage(alone, random.Random(seed))
    (alone / "transformer").rename(folder / part)
    with pytest.raises(Dit4srError) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)


def test_a_weight_that_is_no_number_is_refused_as_it_is_read(folder):
    key = "controlnet_blocks.1.weight"
    rewrite(folder / "controlnet" / WEIGHTS, lambda tensors: tensors[key].view(-1)[7].fill_(float("nan")))
    network = load(folder)
    with pytest.raises(IntegrityError, match=f"{key} in .* holds NaN or infinity"):
        network.weights.read(f"controlnet.{key}")
