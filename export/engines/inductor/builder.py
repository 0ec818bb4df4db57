"""Engines that torch alone can run: each component exported and compiled ahead of time by AOTInductor.

A package is fixed to the training tile, because what is fixed compiles to the fastest code and can be
recorded as one CUDA graph. Components that see rows get a package for two rows, with guidance, and one for a
single row, over the same weights. The VAE takes pictures of any size, and `prepare` any number of steps.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dit4sr.export.component import ComponentSource, static_sizes
from dit4sr.export.engines import Progress, add_engines
from dit4sr.export.engines.inductor.mixed import MixedModule
from dit4sr.export.engines.inductor.packaging import compile_package, write_weights
from dit4sr.export.verify import (
    DTYPES,
    Allowance,
    Arrays,
    Runner,
    compared_component,
    seeded_inputs,
    torch_runners,
    weight_of,
)
from dit4sr.runtime.axes import Sizes, axis_length
from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.inductor import CPU, NAME
from dit4sr.runtime.backends.inductor.compatibility import gpu_target, instruction_sets
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError
from dit4sr.runtime.manifest import Check, Component, Engine, Manifest, ModelCard, TensorSpec, record_of

if TYPE_CHECKING:
    from dit4sr.export.pipeline import Pipeline

PICTURE_AXES = {"pixel_height", "pixel_width", "height", "width"}
STEP_AXES = {"steps"}


@dataclass(frozen=True)
class InductorConfig:
    """What to compile, and how."""

    device: str = AUTO
    architecture: int | None = None
    """The GPU it must be for, as in 90; torch compiles only for the one that is here."""
    picture: tuple[int, int] | None = None
    """Height and width in pixels; the training tile by default."""
    branches: tuple[int, ...] = (2, 1)
    """Rows to compile for: two with guidance, one without."""
    max_autotune: bool = False
    components: tuple[str, ...] = ()
    verify: bool = True


def add_to(
    bundle: Bundle, pipeline: Pipeline, config: InductorConfig, *, progress: Progress = lambda _: None
) -> Manifest:
    """Add engines to a bundle that was exported from the same weights."""
    if dict(bundle.manifest.provenance.checkpoint) != dict(pipeline.origin):
        raise BadInputError(
            f"{bundle.path} was exported from other weights", fix="give the checkpoint that it came from"
        )
    return add_engines(bundle, partial(build, parts=pipeline.components(), config=config), progress=progress)


def build(
    bundle: Bundle,
    *,
    parts: Sequence[ComponentSource],
    config: InductorConfig,
    folder: Path,
    progress: Progress,
) -> tuple[Engine, ...]:
    """Compile components of a bundle whose weights are those of ``parts``."""
    target = preflight(bundle.card.precision, config)
    chosen = [part for part in parts if part.name in (config.components or bundle.components)]
    if missing := sorted(set(config.components or bundle.components) - {part.name for part in chosen}):
        raise BadInputError(
            f"the checkpoint has no {missing[0]}", fix="build from the checkpoint that the bundle came from"
        )
    place = folder / "engines" / f"{NAME}-{target.replace('_', '')}"
    place.mkdir(parents=True, exist_ok=True)
    engines: list[Engine] = []
    for part in chosen:
        progress(f"{part.name}: weights for {target}")
        engines += _Workshop(bundle, part, config, target).build(place, folder, progress)
    return tuple(engines)


def preflight(precision: str, config: InductorConfig) -> str:
    """The target, if everything that compiling takes is here."""
    if precision not in DTYPES:
        raise BadInputError(f"a bundle in {precision}", expected=f"{', '.join(DTYPES)} for {NAME} engines")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise MissingDependencyError(
            f"no C++ compiler {compiler!r}, which {NAME} engines need",
            fix="install g++, or set CXX",
        )
    found = None if config.device == CPU else gpu_target()
    if found is None and (config.device != AUTO or config.architecture) and config.device != CPU:
        raise MissingDependencyError(
            f"no CUDA device here, and {NAME} engines are compiled where they run",
            fix="build on the machine with the GPU, or with --device cpu",
        )
    if config.architecture and found != f"sm_{config.architecture}":
        raise IncompatibleError(
            f"this machine compiles for {found or CPU}",
            expected=f"sm_{config.architecture}",
            fix="build on a machine with that GPU",
        )
    return found or CPU


class _Workshop:
    """One component on its way to packages."""

    def __init__(self, bundle: Bundle, part: ComponentSource, config: InductorConfig, target: str) -> None:
        self._card, self._component = bundle.card, bundle.components[part.name]
        self._part, self._config, self._target = part, config, target
        self._device = torch.device("cpu" if target == CPU else "cuda")
        rounding = DTYPES[bundle.card.precision]
        self._module = MixedModule(
            part.module, partial(weight_of, part), rounding, self._device, part.rounded_modules
        )

    def build(self, place: Path, folder: Path, progress: Progress) -> list[Engine]:
        """Weights once, and a package for each number of rows."""
        name, weights = self._part.name, place / f"{self._part.name}.safetensors"
        constants: dict[str, torch.Tensor] = {}
        packages = []
        for branches in self._config.branches if has_rows(self._part) else (1,):
            progress(f"{name}: compiling for {branches} {'rows' if branches > 1 else 'row'}")
            sizes = package_sizes(self._card, self._part, self._config, branches)
            path = place / (f"{name}-{branches}.pt2" if has_rows(self._part) else f"{name}.pt2")
            constants |= self._compiled(sizes, path)
            packages.append((path, sizes))
        write_weights(weights, constants)
        records = []
        for path, sizes in packages:
            progress(f"{name}: checking {path.name}")
            checks = self._checked(path, constants, sizes) if self._config.verify else ()
            records.append(
                Engine(
                    backend=NAME,
                    component=name,
                    files=(record_of(path, folder), record_of(weights, folder)),
                    precision=self._card.precision,
                    gpu_architecture=self._target,
                    versions=versions(self._target),
                    plugins=(),
                    inputs=fixed_inputs(self._component, self._part, sizes),
                    verification=checks,
                )
            )
        return records

    def _compiled(self, sizes: Sizes, path: Path) -> dict[str, torch.Tensor]:
        """Compile one package without weights; return those it will be given."""
        feeds, free = seeded_inputs(self._part, sizes), free_axes(self._part)
        return compile_package(
            self._module,
            self._tensors(feeds),
            path,
            free=[[i for i, axis in enumerate(spec.shape) if axis in free] for spec in self._part.inputs],
            max_autotune=self._config.max_autotune,
        )

    def _tensors(self, feeds: Arrays) -> list[torch.Tensor]:
        return [torch.from_numpy(feeds[spec.name]).to(self._device) for spec in self._part.inputs]

    def _checked(self, path: Path, constants: dict[str, torch.Tensor], sizes: Sizes) -> tuple[Check, ...]:
        """Against torch, as the exporter checks its graphs."""
        part, precision = self._part, self._card.precision
        runners = [*torch_runners(part, precision), lambda: self._runner(path, constants)]
        return tuple(compared_component(part, seeded_inputs(part, sizes), runners, Allowance.at(precision)))

    def _runner(self, path: Path, constants: dict[str, torch.Tensor]) -> Runner:
        runner = torch._inductor.aoti_load_package(str(path))
        needed = {name: constants[name] for name in runner.get_constant_fqns()}
        runner.load_constants(needed, check_full_update=True, user_managed=True)

        def run(feeds: Arrays) -> list[np.ndarray[Any, Any]]:
            answers = runner(*self._tensors(feeds))
            answers = answers if isinstance(answers, (tuple, list)) else [answers]
            return [answer.cpu().numpy() for answer in answers]

        return run


def picture_of(text: str) -> tuple[int, int]:
    """A profile's height and width: 512x768, or one number for a square."""
    sides = re.fullmatch(r"([1-9]\d{0,5})(?:[x×]([1-9]\d{0,5}))?", text)
    if not sides:
        raise BadInputError(f"profile {text!r}", expected=f"a size as 512x768 for {NAME} engines")
    return int(sides[1]), int(sides[2] or sides[1])


def has_rows(part: ComponentSource) -> bool:
    """Whether guidance doubles what the part sees."""
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
        replace(spec, shape=tuple(a if a in free else axis_length(a, sizes) for a in declared.shape))
        for spec, declared in zip(component.inputs, part.inputs, strict=True)
    )


def versions(target: str) -> dict[str, str]:
    """What the runtime compares with the machine it finds itself on."""
    found = {"torch": importlib.metadata.version("torch")}
    if target == CPU:
        return found | {"instructions": " ".join(instruction_sets())}
    return found | {"cuda": torch.version.cuda or "", "triton": importlib.metadata.version("triton")}
