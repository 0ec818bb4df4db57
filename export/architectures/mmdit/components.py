"""A network of SD3's kind for the exporter: its model card, and the components `prepare` and `step`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from dit4sr.export.architectures.mmdit.sizes import TokenSizes
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.folds import Recipes
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard, PositionTable, TensorSpec

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling


def model_card(
    config: TokenSizes,
    sampling: Sampling,
    *,
    precision: str,
    weights: str,
    pooled_channels: int,
    flavour: str = "",
    variant: str = "",
) -> ModelCard:
    """The model card, which tells the sampler what it needs to know."""
    return ModelCard(
        name=sampling.name,
        flavour=flavour,
        variant=variant,
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
        pooled_channels=pooled_channels,
        positions=PositionTable(config.width, config.pos_embed_max_size, config.base_grid),
        weights=weights,
    )


def step_component(
    network: nn.Module,
    config: TokenSizes,
    conditions: Sequence[TensorSpec],
    recipes: Recipes,
    weights: WeightSource,
    *,
    rounded_modules: tuple[type[nn.Module], ...],
) -> ComponentSource:
    """The component `step` around a network on meta tensors, which reads its latent and then conditions."""
    with torch.device("meta"):
        step = Step(network)
    return ComponentSource(
        "step",
        step.eval().requires_grad_(False),
        (
            floats("latent", "images", config.in_channels, "height", "width"),
            floats("previous_velocity", "images", config.in_channels, "height", "width"),
            floats("guidance", "branches"),
            floats("coefficients", 3),
            *conditions,
        ),
        ("next_latent", "velocity"),
        step_recipes(recipes),
        weights,
        rounded_modules=rounded_modules,
    )


def released_step(
    network: nn.Module, config: TokenSizes, conditions: Sequence[TensorSpec], seed: int
) -> ComponentSource:
    """A step around a network as released, with a random weight for each of the network's own."""
    layout = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    kept: Recipes = {name: name for name in layout}
    weights = RandomWeights(layout, seed)
    return step_component(network, config, conditions, kept, weights, rounded_modules=())


def modulation_inputs(widths: Mapping[str, int]) -> list[TensorSpec]:
    """Inputs of a step that hold the modulations of its blocks."""
    return [floats(name, "rows", width) for name, width in widths.items()]


def floats(name: str, *shape: int | str) -> TensorSpec:
    """An input or output in single precision, as all are that a runtime sees."""
    return TensorSpec(name, "float32", shape)
