"""Small DPIRs and inputs for them, that several tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.dpir.released.transformer import Transformer


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
