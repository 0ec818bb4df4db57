"""DiT4SR with its weights, as the exporter takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.denoiser import ROUNDED_MODULES, Denoiser
from dit4sr.export.architectures.dit4sr.deployed.prepare import Prepare, modulation_widths
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard, PositionTable, TensorSpec

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling


@dataclass(frozen=True)
class Dit4sr:
    """A transformer of some size, flavour and variant, and where its weights are read from."""

    config: TransformerConfig
    weights: WeightSource
    trained: str = "trained"
    """What the model card calls its weights: trained, or in what sense they are not."""

    def to_json(self) -> dict[str, Any]:
        """The config of the transformer: its sizes, flavour and variant."""
        return self.config.to_json()

    def card(self, precision: str, sampling: Sampling) -> ModelCard:
        """The model card, which tells the sampler what it needs to know."""
        config = self.config
        return ModelCard(
            name=sampling.name,
            flavour=config.flavour.value,
            variant=config.variant.value,
            precision=precision,
            latent_channels=config.in_channels,
            vae_factor=sampling.vae_factor,
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
            weights=self.trained,
        )

    def components(self) -> list[ComponentSource]:
        """The components `prepare` and `step`."""
        config, widths = self.config, modulation_widths(self.config)
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
                ),
                ("lr_tokens", "text_tokens", *widths),
                prepare_recipes(config),
                self.weights,
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
                    _floats("positions", "tokens", config.width),
                    *(_floats(name, "rows", width) for name, width in widths.items()),
                ),
                ("next_latent", "velocity"),
                step_recipes(denoiser_recipes(config)),
                self.weights,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]


def random_network(config: TransformerConfig, seed: int) -> Dit4sr:
    """A DiT4SR with weights drawn from a seed."""
    return Dit4sr(config, RandomWeights(read_tensors(config), seed), f"random, seed {seed}")


def _floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)
