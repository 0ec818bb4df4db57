"""Small DPIRs and inputs for them, that several tests share."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dit4sr.export.architectures.dpir.config import SMALLEST, DpirConfig
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.image_encoders.clip_vision import ClipVisionConfig
from dit4sr.export.architectures.image_encoders.encoders import layout
from dit4sr.export.weights.sources import RandomWeights

TOWER = ClipVisionConfig(64, 96, 2, 2, 28, 14, 12)
"""An image tower that fits the smallest DPIR: four tokens of 64 channels."""


def seeded_dpir(config: DpirConfig, dtype: torch.dtype = torch.float64) -> Transformer:
    """Random weights that leave no part of the network idle: gates and biases are not zero."""
    generator = torch.Generator().manual_seed(20)
    model = Transformer(config).to(dtype).requires_grad_(False)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
        centre = 1.0 if ".norm_" in name else 0.0
        parameter.copy_(centre + 0.2 * noise)
    return model.eval()


def dual_prompted_inputs(
    config: DpirConfig, latent: tuple[int, int] = (8, 12), *, rows: int = 2, text: int = 5
) -> dict[str, Tensor]:
    """Inputs of a network in FP64, by name and in its order."""
    generator = torch.Generator().manual_seed(21)
    shapes = {
        "latent": (rows, config.in_channels, *latent),
        "condition": (rows, config.in_channels, *latent),
        "text": (rows, text, config.joint_attention_dim),
        "local_image": (rows, config.image_tokens, config.image_channels),
        "global_image": (rows, config.image_tokens, config.image_channels),
        "pooled": (rows, config.image_pooled_channels),
    }
    noise = {name: torch.randn(s, generator=generator, dtype=torch.float64) for name, s in shapes.items()}
    return noise | {"timestep": torch.tensor([640.0, 31.0], dtype=torch.float64)[:rows]}


def velocity_of(model: Transformer, inputs: dict[str, Tensor]) -> Tensor:
    """Run a network on inputs by name."""
    seen = VisualPrompt(*(inputs[name] for name in VisualPrompt._fields))
    velocity: Tensor = model(inputs["latent"], inputs["condition"], inputs["text"], seen, inputs["timestep"])
    return velocity


def write_dual_prompted(folder: Path, config: DpirConfig = SMALLEST, tower: ClipVisionConfig = TOWER) -> Path:
    """A checkpoint in our layout: the network, and the image tower that prompts it."""
    (folder / "transformer").mkdir(parents=True)
    save_file(
        seeded_dpir(config, torch.float32).state_dict(),
        folder / "transformer" / "diffusion_pytorch_model.safetensors",
    )
    (folder / "transformer" / "config.json").write_text(json.dumps(config.to_json()))
    source = RandomWeights(layout(tower), 9)
    (folder / "image_encoder").mkdir()
    save_file(
        {key: source.read(key) for key in layout(tower)}, folder / "image_encoder" / "model.safetensors"
    )
    (folder / "image_encoder" / "config.json").write_text(json.dumps(asdict(tower)))
    return folder
