"""Loading: sound checkpoints strictly, damaged ones not at all."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from support.damage import ANYWHERE, SHARDED
from support.networks import (
    inputs_for,
    released_tensors,
    seeded_transformer,
    smallest_config,
    tiny_config,
    write_checkpoint,
)

from dit4sr.export.architectures.dit4sr.config import Flavour, Variant
from dit4sr.export.architectures.dit4sr.layout import lr_tensors, unread_tensors
from dit4sr.export.architectures.dit4sr.loading import load_transformer
from dit4sr.runtime.errors import BadInputError, Dit4srError, IntegrityError


def same_weights(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[key].to(value.dtype)) for key, value in model.state_dict().items())


# --- Sound checkpoints ---------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
def test_a_released_checkpoint_loads_strictly(flavour, shards, checkpoint_writer):
    """All released tensors are there; those that no forward pass reads are checked and left behind."""
    config = tiny_config(flavour)
    tensors = released_tensors(config)
    model = load_transformer(checkpoint_writer(config, tensors, shards))
    assert model.config == config
    assert same_weights(model, tensors)
    assert set(tensors) - set(model.state_dict()) == set(unread_tensors(config))


def test_loaded_weights_give_the_same_picture(config, checkpoint_writer):
    source = seeded_transformer(config, torch.float32)
    folder = checkpoint_writer(config, dict(source.state_dict()))
    model = load_transformer(folder, flavour=config.flavour, variant=config.variant)
    inputs = inputs_for(config, dtype=torch.float32)
    torch.testing.assert_close(model(**inputs), source(**inputs), rtol=0, atol=0)


def test_every_way_to_name_a_checkpoint(checkpoint_writer):
    folder = checkpoint_writer(smallest_config())
    transformer = folder / "transformer"
    lone = folder / "lone.safetensors"
    shutil.copy(transformer / "diffusion_pytorch_model.safetensors", lone)
    for path in (folder, transformer, transformer / "diffusion_pytorch_model.safetensors", lone):
        assert load_transformer(path).config.num_layers == 2


def test_flavour_is_told_by_the_weights_and_can_be_overridden(flavour, checkpoint_writer):
    folder = checkpoint_writer(smallest_config(flavour))
    assert load_transformer(folder).config.flavour is flavour
    for other in Flavour:
        assert load_transformer(folder, flavour=other).config.flavour is other


def test_our_own_config_states_flavour_and_variant(checkpoint_writer):
    config = tiny_config(Flavour.OWN, Variant.B)
    folder = checkpoint_writer(config)
    (folder / "transformer" / "config.json").write_text(json.dumps(config.to_json()))
    assert load_transformer(folder).config == config


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_the_caller_s(dtype, checkpoint_writer):
    """Published files mix FP16 and FP32; a model has one precision."""
    tensors = released_tensors(smallest_config())
    mixed = {key: value.half() if "control" not in key else value for key, value in tensors.items()}
    model = load_transformer(checkpoint_writer(smallest_config(), mixed), dtype=dtype)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {dtype}
    assert same_weights(model, mixed)


def test_sd35_opens_as_an_untrained_dit4sr_on_purpose(checkpoint_writer):
    config = smallest_config()
    unwanted = set(lr_tensors(config)) | set(unread_tensors(config))
    stock = {key: value for key, value in released_tensors(config).items() if key not in unwanted}
    folder = checkpoint_writer(config, stock)

    with pytest.raises(BadInputError, match="--untrained"):
        load_transformer(folder)
    model = load_transformer(folder, untrained=True)
    attention = model.transformer_blocks[0].attn
    assert not attention.to_v_control.weight.any()
    assert torch.equal(attention.to_out_control.weight, attention.to_out[0].weight)
    with pytest.raises(BadInputError, match="has LR weights"):
        load_transformer(checkpoint_writer(config), untrained=True)


# --- Damaged ones --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[bool, Path]:
    """One checkpoint in a file, one in shards."""
    folder = tmp_path_factory.mktemp("sound")
    config = smallest_config()
    return {
        sharded: write_checkpoint(folder / str(sharded), config, shards=3 if sharded else 1)
        for sharded in (False, True)
    }


DAMAGES = [
    (damage, sharded) for sharded in (False, True) for damage in (*ANYWHERE, *(SHARDED if sharded else ()))
]


@pytest.mark.parametrize(
    ("damage", "sharded"), DAMAGES, ids=lambda value: getattr(value, "__name__", str(value))
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_damage_is_refused_in_one_line(sound, damage, sharded, seed):
    """46 kinds of damage, eight of each: every one is refused, in a line that names the place."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        shutil.copytree(sound[sharded], folder)
        damage(folder, random.Random(seed))
        with pytest.raises(Dit4srError) as refusal:
            load_transformer(folder, dtype=torch.float16)
    line = str(refusal.value)
    assert "\n" not in line
    assert len(line) < 600
    assert "checkpoint" in line
    assert refusal.value.exit_code in {BadInputError.exit_code, IntegrityError.exit_code}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=0.0, bit=0)
def test_a_flipped_header_bit_never_loads_silently_wrong(sound, place, bit):
    """Most flips are refused; one that is not (a letter of the metadata, say) has changed no weight."""
    tensors = released_tensors(smallest_config())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        shutil.copytree(sound[False], folder)
        file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        data = bytearray(file.read_bytes())
        header = 8 + int.from_bytes(data[:8], "little")
        data[int(place * header)] ^= 1 << bit
        file.write_bytes(data)
        try:
            model = load_transformer(folder)
        except Dit4srError:
            return
        assert same_weights(model, tensors)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.ckpt", "model.PTH"])
def test_a_pickle_is_refused_unopened(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(b"cos\nsystem\n(S'touch should-not-exist'\ntR.")
    with pytest.raises(BadInputError, match="safe_serialization"):
        load_transformer(file)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_other_networks_are_named_as_such(tmp_path):
    save_file({"conv.weight": torch.ones(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match=r"context_embedder.weight is not among 1 tensors"):
        load_transformer(tmp_path / "other.safetensors")
