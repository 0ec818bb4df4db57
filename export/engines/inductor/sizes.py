"""Which sizes a package is compiled for.

A package is fixed to one tile, because what is fixed compiles to the fastest code and can be recorded as one
CUDA graph. The VAE takes pictures of any size, and `prepare` any number of steps.
"""

from __future__ import annotations

from dataclasses import replace

from dit4sr.export.component import ComponentSource
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.runtime.axes import Sizes, axis_length, axis_sizes, latent_size
from dit4sr.runtime.bundles.manifest import Component, ModelCard, TensorSpec

PICTURE_AXES = {"pixel_height", "pixel_width", "height", "width"}
STEP_AXES = {"steps"}


def has_rows(source: ComponentSource) -> bool:
    """True if guidance doubles what the component sees."""
    return any("rows" in spec.shape for spec in source.inputs)


def free_axes(source: ComponentSource) -> set[str]:
    """The axes that one package of a component takes at any size."""
    return STEP_AXES if has_rows(source) else PICTURE_AXES


def package_sizes(card: ModelCard, source: ComponentSource, config: InductorConfig, branches: int) -> Sizes:
    """What every axis measures in a package of a component."""
    tile = (card.training_tile, card.training_tile)
    latent = latent_size(card, config.picture) if config.picture else tile
    return {**axis_sizes(card, latent=latent, branches=branches), **source.static_sizes}


def fixed_inputs(component: Component, source: ComponentSource, sizes: Sizes) -> tuple[TensorSpec, ...]:
    """The component's inputs with the sizes that a package fixes."""
    free = free_axes(source)
    return tuple(
        replace(spec, shape=tuple(a if a in free else axis_length(a, sizes) for a in declared.shape))
        for spec, declared in zip(component.inputs, source.inputs, strict=True)
    )
