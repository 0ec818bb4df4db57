"""Small SD3-ControlNets, inputs and checkpoints that several tests share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet.config import SMALLEST, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import BACKBONE, CONTROL
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer


def narrow_config(backbone: Stack, control: Stack, **choices: Any) -> SystemConfig:
    """As many layers as are asked for, on two narrow heads."""
    return replace(
        SMALLEST,
        num_attention_heads=2,
        attention_head_dim=8,
        pos_embed_max_size=24,
        sample_size=16,
        backbone=backbone,
        control=control,
        **choices,
    )


def seeded_system(config: SystemConfig, dtype: torch.dtype = torch.float64) -> ControlledTransformer:
    """Random weights that leave no part of the networks idle: residuals, gates and biases are not zero."""
    generator = torch.Generator().manual_seed(20)
    model = ControlledTransformer(config).to(dtype).requires_grad_(False)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
        centre = 1.0 if ".norm_" in name else 0.0
        parameter.copy_(centre + 0.2 * noise)
    return model.eval()


def stated_configs(config: SystemConfig) -> dict[str, dict[str, Any]]:
    """The ``config.json`` of each folder, as diffusers writes it."""
    shared = config.sizes | {"caption_projection_dim": config.width, "sample_size": config.sample_size}
    shared["out_channels"] = config.in_channels

    def stated(stack: Stack) -> dict[str, Any]:
        return shared | {
            "num_layers": stack.num_layers,
            "dual_attention_layers": list(stack.dual_attention_layers),
            "qk_norm": "rms_norm" if stack.qk_norm else None,
        }

    control = {
        "_class_name": "SD3ControlNetModel",
        "_diffusers_version": "0.33.0",
        "extra_conditioning_channels": config.extra_conditioning_channels,
        "force_zeros_for_pooled_projection": True,
    }
    return {
        BACKBONE: {"_class_name": "SD3Transformer2DModel"} | stated(config.backbone),
        CONTROL: control | stated(config.control),
    }


def write_system(folder: Path, config: SystemConfig, model: ControlledTransformer | None = None) -> Path:
    """A released checkpoint of both networks, as diffusers lays them out."""
    tensors = (model or seeded_system(config, torch.float32)).state_dict()
    for part, stated in stated_configs(config).items():
        (folder / part).mkdir(parents=True)
        own = {
            key.removeprefix(f"{part}."): value
            for key, value in tensors.items()
            if key.startswith(f"{part}.")
        }
        save_file(own, folder / part / "diffusion_pytorch_model.safetensors")
        (folder / part / "config.json").write_text(json.dumps(stated))
    return folder
