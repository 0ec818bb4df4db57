"""Which sizes a package is compiled for.

A package is fixed to one tile, because what is fixed compiles to the fastest code and can be recorded as one
CUDA graph. The VAE takes pictures of any size, and `prepare` any number of steps.
"""

from __future__ import annotations

from dataclasses import replace

from dit4sr.export.architecture import ComponentSource, Sizes, axis_size, static_sizes
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.manifest import Component, ModelCard, TensorSpec

PICTURE_AXES = {"pixel_height", "pixel_width", "height", "width"}
STEP_AXES = {"steps"}


def has_rows(part: ComponentSource) -> bool:
    """True if guidance doubles what the part sees."""
    return any("rows" in spec.shape for spec in part.inputs)


def free_axes(part: ComponentSource) -> set[str]:
    """Axes that one package takes at any size."""
    return STEP_AXES if has_rows(part) else PICTURE_AXES


def package_sizes(card: ModelCard, part: ComponentSource, config: InductorConfig, branches: int) -> Sizes:
    """Every axis of a package."""
    sizes = dict(static_sizes(card, part))
    if config.picture:
        unit = card.vae_factor * card.patch_size
        if any(side < unit or side % unit for side in config.picture):
            raise BadInputError(f"a profile of {config.picture}", expected=f"multiples of {unit}")
        height, width = (side // card.vae_factor for side in config.picture)
        sizes |= {"height": height, "width": width}
        sizes |= {"pixel_height": config.picture[0], "pixel_width": config.picture[1]}
        sizes["tokens"] = (height // card.patch_size) * (width // card.patch_size)
    return {**sizes, "branches": branches, "rows": branches}


def fixed_inputs(component: Component, part: ComponentSource, sizes: Sizes) -> tuple[TensorSpec, ...]:
    """The component's inputs with the sizes that a package fixes."""
    free = free_axes(part)
    return tuple(
        replace(spec, shape=tuple(a if a in free else axis_size(a, sizes) for a in declared.shape))
        for spec, declared in zip(component.inputs, part.inputs, strict=True)
    )
