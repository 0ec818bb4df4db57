"""Small networks, inputs and checkpoints that several tests share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.export.architectures.dit4sr.config import SMALLEST, Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.layout import released_layout
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.component import ComponentSource
from dit4sr.export.pipeline import Pipeline

ARCHITECTURES = [
    (flavour, variant)
    for flavour, variant in itertools.product(Flavour, Variant)
    if not (flavour is Flavour.COPIED and variant is Variant.A)
]


def tiny_config(flavour: Flavour = Flavour.OWN, variant: Variant = Variant.FULL) -> TransformerConfig:
    """The sizes of the fact sheet's golden test."""
    return TransformerConfig(
        num_layers=4,
        num_attention_heads=2,
        joint_attention_dim=96,
        pooled_projection_dim=80,
        pos_embed_max_size=24,
        sample_size=16,
        dual_attention_layers=(0, 1),
        flavour=flavour,
        variant=variant,
    )


def smallest_config(flavour: Flavour = Flavour.OWN) -> TransformerConfig:
    """One megabyte of weights with every kind of tensor: for tests that write hundreds of checkpoints."""
    return replace(SMALLEST, flavour=flavour)


def seeded_transformer(config: TransformerConfig, dtype: torch.dtype = torch.float64) -> Transformer:
    """Random weights that leave no part of the network idle: gates and biases are far from zero."""
    generator = torch.Generator().manual_seed(20)
    model = Transformer(config).to(dtype).requires_grad_(False)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
        centre = 1.0 if ".norm_" in name else 0.0
        parameter.copy_(centre + 0.2 * noise)
    return model.eval()


def inputs_for(
    config: TransformerConfig, latent: tuple[int, int] = (16, 16), rows: int = 2, dtype=torch.float64
) -> dict[str, torch.Tensor]:
    """Seeded inputs of a forward pass, by argument name."""
    generator = torch.Generator().manual_seed(21)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "latent": noise(rows, config.in_channels, *latent),
        "condition": noise(rows, config.in_channels, *latent),
        "text": noise(rows, 10, config.joint_attention_dim),
        "pooled": noise(rows, config.pooled_projection_dim),
        # A half cannot hold the schedule's times, and no precision is asked to.
        "timestep": torch.linspace(731.0, 20.5, rows, dtype=torch.float64),
    }


def write_checkpoint(
    folder: Path, config: TransformerConfig, tensors: dict[str, torch.Tensor] | None = None, shards: int = 1
) -> Path:
    """A released checkpoint, dead tensors and all, as diffusers lays it out."""
    transformer = folder / "transformer"
    transformer.mkdir(parents=True)
    tensors = released_tensors(config) if tensors is None else tensors
    if shards == 1:
        save_file(tensors, transformer / "diffusion_pytorch_model.safetensors")
    else:
        names = [f"diffusion_pytorch_model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
        weight_map = {key: names[place % shards] for place, key in enumerate(sorted(tensors))}
        for name in names:
            save_file(
                {key: tensors[key] for key in weight_map if weight_map[key] == name}, transformer / name
            )
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (transformer / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    released = {key: value for key, value in config.to_json().items() if key not in {"flavour", "variant"}}
    (transformer / "config.json").write_text(json.dumps(released))
    return folder


def released_tensors(config: TransformerConfig) -> dict[str, torch.Tensor]:
    """Seeded tensors for every released key; in flavour ``copied`` the LR key projections are zero."""
    weights = seeded_transformer(config, torch.float32).state_dict()
    for key, shape in released_layout(config).items():
        if key not in weights:
            weights[key] = torch.full(shape, 0.5)
        if config.flavour is Flavour.COPIED and ".to_k_control." in key:
            weights[key] = torch.zeros(shape)
    return dict(weights)


def alone(network: Dit4sr, text_encoders: Iterable[ComponentSource] = ()) -> Pipeline:
    """A network as a pipeline, without a VAE or prompts."""
    return Pipeline(ARCHITECTURE.name, network, ARCHITECTURE.sampling(), tuple(text_encoders))
