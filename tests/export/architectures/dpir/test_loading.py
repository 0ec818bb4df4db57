"""Checkpoints in our layout: told by their tensors, held against their config, refused in a line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.dual_prompted import dual_prompted_inputs, seeded_dpir, velocity_of, write_dual_prompted

from dit4sr.export import architectures
from dit4sr.export.architectures.dpir import ARCHITECTURE
from dit4sr.export.architectures.dpir.config import SMALLEST, Statistics
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.errors import Dit4srError

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
CONFIGS = {
    "smallest": SMALLEST,
    "plain": replace(SMALLEST, backbone=Stack(2, qk_norm=False), own_global_adapter=False),
    "one convolution": replace(SMALLEST, lq_convolutions=1, statistics=Statistics.TOKEN, image_layer=-1),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_checkpoint_is_read_as_it_was_written(tmp_path, config):
    folder = write_dual_prompted(tmp_path / "checkpoint", config)
    checkpoint = open_checkpoint(folder)
    assert architectures.detect(checkpoint) is ARCHITECTURE
    assert ARCHITECTURE.load(checkpoint, {}).config == config
    model = ARCHITECTURE.reference(config.to_json()).load(folder)
    inputs = {name: values.float() for name, values in dual_prompted_inputs(config).items()}
    assert torch.equal(velocity_of(model, inputs), velocity_of(seeded_dpir(config, torch.float32), inputs))


def test_what_is_said_counts_over_what_is_stated(tmp_path):
    checkpoint = open_checkpoint(write_dual_prompted(tmp_path / "checkpoint"))
    said = {"statistics": "token", "lq_scale": 0.5, "global_reach": 3.0, "image_layer": -1}
    config = ARCHITECTURE.load(checkpoint, said).config
    assert {name: config.to_json()[name] for name in said} == said


def test_the_reference_writes_what_is_read(tmp_path):
    reference = ARCHITECTURE.reference(SMALLEST.to_json())
    reference.write_checkpoint(tmp_path)
    assert ARCHITECTURE.load(open_checkpoint(tmp_path), {}).config == SMALLEST
    model, plain = reference.load(tmp_path), reference.plain_step()
    inputs = {name: values.float() for name, values in dual_prompted_inputs(SMALLEST).items()}
    seen = [inputs[name] for name in VisualPrompt._fields]
    network = plain.module.network.to_empty(device="cpu")
    network.load_state_dict(model.state_dict())
    flat = network(inputs["latent"], inputs["condition"], inputs["text"], inputs["timestep"], *seen)
    assert torch.equal(flat, velocity_of(model, inputs))


def drop(key):
    return lambda tensors: {name: value for name, value in tensors.items() if name != key}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (drop("lq_branch.convolutions.1.bias"), "lacks lq_branch.convolutions.1.bias"),
        (drop("local_adapter.linear_2.weight"), "lacks local_adapter.linear_2.weight"),
        (drop("pooled_adapter.linear_1.weight"), "(pooled_adapter.linear_1.weight is not among"),
        (lambda tensors: tensors | {"extra": torch.ones(1)}, "has extra, unknown to DPIR"),
        (
            lambda tensors: {name: v for name, v in tensors.items() if "transformer_blocks.1." not in name},
            "has no block 1, but later ones",
        ),
        (
            lambda tensors: tensors | {"proj_out.bias": torch.full((64,), float("nan"))},
            "proj_out.bias",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_a_line(tmp_path, change, named):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    with pytest.raises(Dit4srError) as refusal:
        network = ARCHITECTURE.load(open_checkpoint(folder), {})
        network.weights.read("proj_out.bias")
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_config_of_other_weights_is_refused(tmp_path):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    file = folder / "transformer" / "config.json"
    for change, named in (({"lq_width": 9}, "lq_width = 9"), ({"lq_scale": "big"}, "lq_scale is 'big'")):
        file.write_text(json.dumps(SMALLEST.to_json() | change))
        with pytest.raises(Dit4srError) as refusal:
            ARCHITECTURE.load(open_checkpoint(folder), {})
        assert named in str(refusal.value)


def test_mixed_up_folders_are_refused(tmp_path):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    with pytest.raises(Dit4srError, match="holds no DPIR"):
        ARCHITECTURE.load(open_checkpoint(folder / "image_encoder"), {})
