"""A DPIR with its weights, as the exporter takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from dit4sr.export.architectures.dpir.config import READING, DpirConfig
from dit4sr.export.architectures.dpir.deployed.denoiser import ROUNDED_MODULES, Denoiser
from dit4sr.export.architectures.dpir.deployed.prepare import Prepare, widths_of
from dit4sr.export.architectures.dpir.layout import released_layout
from dit4sr.export.architectures.dpir.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.architectures.mmdit.components import (
    floats,
    model_card,
    modulation_inputs,
    step_component,
)
from dit4sr.export.architectures.protocol import Sight
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard, View

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling


@dataclass(frozen=True)
class Dpir:
    """A DPIR of some size, and where its weights are read from."""

    config: DpirConfig
    weights: WeightSource
    trained: str = "trained"
    """What the model card calls its weights: trained, or in what sense they are not."""

    def to_json(self) -> dict[str, Any]:
        """The config: sizes, and the choices that the paper leaves open."""
        return self.config.to_json()

    def card(self, precision: str, sampling: Sampling) -> ModelCard:
        """The model card, which tells the sampler what it needs to know, and people whose reading this is."""
        # Where nobody asks for another length, a prompt is as long as the network was trained with.
        is_default = sampling.text_tokens == DpirConfig().t5_tokens
        tokens = self.config.t5_tokens if is_default else sampling.text_tokens
        return model_card(
            self.config,
            replace(sampling, text_tokens=tokens),
            precision=precision,
            weights=f"{self.trained}; {READING}",
            pooled_channels=0,
        )

    def components(self) -> list[ComponentSource]:
        """The components `prepare` and `step`."""
        config, widths = self.config, widths_of(self.config)
        with torch.device("meta"):
            prepare, denoiser = Prepare(config), Denoiser(config)
        return [
            ComponentSource(
                "prepare",
                prepare.eval().requires_grad_(False),
                (
                    floats("condition", "rows", config.in_channels, "height", "width"),
                    floats("text", "rows", "text", config.joint_attention_dim),
                    floats("timesteps", "steps"),
                    floats("local_image", "rows", config.image_tokens, config.image_channels),
                    floats("global_image", "rows", config.image_tokens, config.image_channels),
                    floats("pooled_image", "rows", config.image_pooled_channels),
                ),
                ("lq_tokens", "text_tokens", "image_tokens", *widths),
                prepare_recipes(config),
                self.weights,
            ),
            step_component(
                denoiser,
                config,
                (
                    floats("lq_tokens", "rows", "tokens", config.width),
                    floats("text_tokens", "rows", "text", config.width),
                    floats("image_tokens", "rows", 2 * config.image_tokens, config.width),
                    floats("positions", "tokens", config.width),
                    *modulation_inputs(widths),
                ),
                denoiser_recipes(config),
                self.weights,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]

    def sight(self) -> Sight:
        """Tokens of the crop that is restored and of its surroundings, and a pooled vector of the first."""
        config = self.config
        return Sight(
            layer=config.image_layer,
            class_token=config.class_token,
            tokens=config.image_tokens,
            channels=config.image_channels,
            pooled_channels=config.image_pooled_channels,
            views=(
                View(1.0, "local_image", "pooled_image"),
                View(float(config.global_reach), "global_image"),
            ),
        )


def random_network(config: DpirConfig, seed: int) -> Dpir:
    """A DPIR with weights drawn from a seed."""
    return Dpir(config, RandomWeights(released_layout(config), seed), f"random, seed {seed}")
