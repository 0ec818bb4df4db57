"""An SD3-ControlNet with its weights, as the exporter takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import ROUNDED_MODULES, Denoiser
from dit4sr.export.architectures.sd3_controlnet.deployed.prepare import (
    Prepare,
    backbone_widths,
    control_widths,
)
from dit4sr.export.architectures.sd3_controlnet.layout import released_layout
from dit4sr.export.architectures.sd3_controlnet.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard, PositionTable, TensorSpec

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling

SCALE = "control_scale"


@dataclass(frozen=True)
class Sd3ControlNet:
    """Backbone and control net of some size, and where their weights are read from."""

    config: SystemConfig
    weights: WeightSource
    trained: str = "trained"
    """What the model card calls its weights: trained, or in what sense they are not."""

    def to_json(self) -> dict[str, Any]:
        """The config: sizes of both networks, and the choices that no tensor tells."""
        return self.config.to_json()

    def card(self, precision: str, sampling: Sampling) -> ModelCard:
        """The model card, which tells the sampler what it needs to know."""
        config = self.config
        return ModelCard(
            name=sampling.name,
            flavour="",
            variant="",
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
        config = self.config
        widths = backbone_widths(config) | control_widths(config)
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
                ("condition_tokens", "text_tokens", SCALE, *widths),
                prepare_recipes(config),
                self.weights,
                even_outputs=(SCALE,),
            ),
            ComponentSource(
                "step",
                step.eval().requires_grad_(False),
                (
                    _floats("latent", "images", config.in_channels, "height", "width"),
                    _floats("previous_velocity", "images", config.in_channels, "height", "width"),
                    _floats("guidance", "branches"),
                    _floats("coefficients", 3),
                    _floats("condition_tokens", "rows", "tokens", config.width),
                    _floats("text_tokens", "rows", "text", 2 * config.width),
                    _floats(SCALE, "rows", 1),
                    _floats("positions", "tokens", config.width),
                    *(_floats(name, "rows", width) for name, width in widths.items()),
                ),
                ("next_latent", "velocity"),
                step_recipes(denoiser_recipes(config)),
                self.weights,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]


def random_network(config: SystemConfig, seed: int) -> Sd3ControlNet:
    """An SD3-ControlNet with weights drawn from a seed."""
    return Sd3ControlNet(config, RandomWeights(released_layout(config), seed), f"random, seed {seed}")


def _floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)
