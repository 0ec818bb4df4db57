"""DiT4SR as an architecture the exporter can take."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from dit4sr.export.architecture import ComponentSource
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.denoiser import ROUNDED_MODULES, Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import Prepare, modulation_width
from dit4sr.export.architectures.dit4sr.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.step import Step
from dit4sr.export.sampling import Sampling
from dit4sr.export.weights.sources import WeightSource
from dit4sr.runtime.manifest import ModelCard, PositionTable, TensorSpec

VAE_FACTOR = 8


@dataclass(frozen=True)
class Dit4sr:
    """The transformer's two components; the picture's others join from elsewhere."""

    config: TransformerConfig
    source: WeightSource
    weights: str = "trained"
    sampling: Sampling = field(default_factory=Sampling)

    def card(self, precision: str) -> ModelCard:
        """What the sampler needs to know."""
        config, sampling = self.config, self.sampling
        return ModelCard(
            name=sampling.name,
            flavour=config.flavour.value,
            variant=config.variant.value,
            precision=precision,
            latent_channels=config.in_channels,
            vae_factor=VAE_FACTOR,
            scaling=sampling.scaling,
            shift=sampling.shift,
            patch_size=config.patch_size,
            schedule_shift=sampling.schedule_shift,
            training_tile=sampling.tile or config.sample_size // 2,
            default_steps=sampling.steps,
            default_guidance=sampling.guidance,
            text_tokens=sampling.text_tokens,
            text_channels=config.joint_attention_dim,
            pooled_channels=config.pooled_projection_dim,
            positions=PositionTable(config.width, config.pos_embed_max_size, config.base_grid),
            weights=self.weights,
        )

    def parts(self) -> list[ComponentSource]:
        """`prepare` and `step`."""
        config = self.config
        with torch.device("meta"):
            prepare, step = Prepare(config), Step(Denoiser(config))
        return [
            ComponentSource(
                "prepare",
                prepare.eval().requires_grad_(False),
                (
                    _floats("condition", "rows", config.in_channels, "height", "width"),
                    _floats("text", "rows", "text", config.joint_attention_dim),
                    _floats("pooled", "rows", config.pooled_projection_dim),
                    _floats("timesteps", "steps"),
                    _floats("positions", "tokens", config.width),
                ),
                ("lr_tokens", "text_tokens", "modulation"),
                prepare_recipes(config),
                self.source,
            ),
            ComponentSource(
                "step",
                step.eval().requires_grad_(False),
                (
                    _floats("latent", "images", config.in_channels, "height", "width"),
                    _floats("previous_velocity", "images", config.in_channels, "height", "width"),
                    _floats("guidance", "branches"),
                    _floats("coefficients", 3),
                    _floats("lr_tokens", "rows", "tokens", config.width),
                    _floats("text_tokens", "rows", "text", config.width),
                    _floats("modulation", "rows", modulation_width(config)),
                    _floats("positions", "tokens", config.width),
                ),
                ("next_latent", "velocity"),
                denoiser_recipes(config),
                self.source,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]


def _floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)
