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
from dit4sr.export.architectures.mmdit.components import floats, model_card, modulation_inputs, step_component
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard

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
        return model_card(
            self.config,
            sampling,
            precision=precision,
            weights=self.trained,
            pooled_channels=self.config.pooled_projection_dim,
            flavour=self.config.flavour.value,
            variant=self.config.variant.value,
        )

    def components(self) -> list[ComponentSource]:
        """The components `prepare` and `step`."""
        config, widths = self.config, modulation_widths(self.config)
        with torch.device("meta"):
            prepare, denoiser = Prepare(config), Denoiser(config)
        return [
            ComponentSource(
                "prepare",
                prepare.eval().requires_grad_(False),
                (
                    floats("condition", "rows", config.in_channels, "height", "width"),
                    floats("text", "rows", "text", config.joint_attention_dim),
                    floats("pooled", "rows", config.pooled_projection_dim),
                    floats("timesteps", "steps"),
                ),
                ("lr_tokens", "text_tokens", *widths),
                prepare_recipes(config),
                self.weights,
            ),
            step_component(
                denoiser,
                config,
                (
                    floats("lr_tokens", "rows", "tokens", config.width),
                    floats("text_tokens", "rows", "text", config.width),
                    floats("positions", "tokens", config.width),
                    *modulation_inputs(widths),
                ),
                denoiser_recipes(config),
                self.weights,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]

    def sight(self) -> None:
        """Nothing is wanted of image encoders: no picture prompts the network."""


def random_network(config: TransformerConfig, seed: int) -> Dit4sr:
    """A DiT4SR with weights drawn from a seed."""
    return Dit4sr(config, RandomWeights(read_tensors(config), seed), f"random, seed {seed}")
