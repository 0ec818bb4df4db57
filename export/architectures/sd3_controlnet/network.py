"""An SD3-ControlNet with its weights, as the exporter takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from dit4sr.export.architectures.mmdit.components import floats, model_card, modulation_inputs, step_component
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.deployed.denoiser import ROUNDED_MODULES, Backbone, Denoiser
from dit4sr.export.architectures.sd3_controlnet.deployed.prepare import (
    Prepare,
    backbone_widths,
    control_widths,
)
from dit4sr.export.architectures.sd3_controlnet.layout import released_layout
from dit4sr.export.architectures.sd3_controlnet.recipes import (
    backbone_recipes,
    denoiser_recipes,
    prepare_recipes,
)
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling

SCALE = "control_scale"
UNCONTROLLED = "step_uncontrolled"
"""The component for steps in which the control net is not heard."""


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
        return model_card(
            self.config,
            sampling,
            precision=precision,
            weights=self.trained,
            pooled_channels=self.config.pooled_projection_dim,
        )

    def components(self) -> list[ComponentSource]:
        """The components `prepare` and `step`, and where some steps are the backbone's alone, those."""
        config = self.config
        backbone = backbone_widths(config)
        widths = backbone | control_widths(config)
        text_tokens = floats("text_tokens", "rows", "text", 2 * config.width)
        positions = floats("positions", "tokens", config.width)
        with torch.device("meta"):
            prepare, denoiser = Prepare(config), Denoiser(config)
        made = [
            ComponentSource(
                "prepare",
                prepare.eval().requires_grad_(False),
                (
                    floats("condition", "rows", config.in_channels, "height", "width"),
                    floats("text", "rows", "text", config.joint_attention_dim),
                    floats("pooled", "rows", config.pooled_projection_dim),
                    floats("timesteps", "steps"),
                ),
                ("condition_tokens", "text_tokens", SCALE, *widths),
                prepare_recipes(config),
                self.weights,
                even_outputs=(SCALE,),
            ),
            step_component(
                denoiser,
                config,
                (
                    floats("condition_tokens", "rows", "tokens", config.width),
                    text_tokens,
                    floats(SCALE, "rows", 1),
                    positions,
                    *modulation_inputs(widths),
                ),
                denoiser_recipes(config),
                self.weights,
                rounded_modules=ROUNDED_MODULES,
            ),
        ]
        if config.is_always_controlled:
            return made
        with torch.device("meta"):
            alone = Backbone(config)
        step = step_component(
            alone,
            config,
            (text_tokens, positions, *modulation_inputs(backbone)),
            backbone_recipes(config),
            self.weights,
            rounded_modules=ROUNDED_MODULES,
        )
        return [*made, replace(step, name=UNCONTROLLED, replaces_step_where_zero=SCALE)]

    def sight(self) -> None:
        """Nothing is wanted of image encoders: no picture prompts the network."""


def random_network(config: SystemConfig, seed: int) -> Sd3ControlNet:
    """An SD3-ControlNet with weights drawn from a seed."""
    return Sd3ControlNet(config, RandomWeights(released_layout(config), seed), f"random, seed {seed}")
