"""From the network in torch to packages that torch alone can run, compiled ahead of time by AOTInductor.

Components that see rows get a package for two rows, with guidance, and one for a single row, over the same
weights.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dit4sr.export.component import ComponentSource
from dit4sr.export.engines.adding import Progress, add_engines
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.inductor.mixed import MixedModule
from dit4sr.export.engines.inductor.packaging import compile_package, write_weights
from dit4sr.export.engines.inductor.preflight import preflight
from dit4sr.export.engines.inductor.sizes import fixed_inputs, free_axes, has_rows, package_sizes
from dit4sr.export.verify import (
    DTYPES,
    Arrays,
    Runner,
    Tolerance,
    compared_component,
    seeded_inputs,
    torch_runners,
    weight_of,
)
from dit4sr.runtime.axes import Sizes
from dit4sr.runtime.backends.inductor import CPU, NAME
from dit4sr.runtime.backends.inductor.compatibility import instruction_sets
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Check, Engine, Manifest, record_of
from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.export.pipeline import Pipeline


def add_to(
    bundle: Bundle, pipeline: Pipeline, config: InductorConfig, *, progress: Progress = lambda _: None
) -> Manifest:
    """Add engines to a bundle that was exported from the same weights."""
    if dict(bundle.manifest.provenance.checkpoint) != dict(pipeline.origin):
        raise BadInputError(
            f"{bundle.path} was exported from other weights", fix="give the checkpoint that it came from"
        )
    return add_engines(
        bundle, partial(build, sources=pipeline.components(), config=config), progress=progress
    )


def build(
    bundle: Bundle,
    *,
    sources: Sequence[ComponentSource],
    config: InductorConfig,
    folder: Path,
    progress: Progress,
) -> tuple[Engine, ...]:
    """Compile components of a bundle whose weights are those of ``sources``."""
    target = preflight(bundle.card.precision, config)
    chosen = [source for source in sources if source.name in (config.components or bundle.components)]
    if missing := sorted(set(config.components or bundle.components) - {source.name for source in chosen}):
        raise BadInputError(
            f"the checkpoint has no {missing[0]}", fix="build from the checkpoint that the bundle came from"
        )
    place = folder / "engines" / f"{NAME}-{target.replace('_', '')}"
    place.mkdir(parents=True, exist_ok=True)
    engines: list[Engine] = []
    for source in chosen:
        progress(f"{source.name}: weights for {target}")
        engines += _PackageBuilder(bundle, source, config, target).build(place, folder, progress)
    return tuple(engines)


class _PackageBuilder:
    """Compiles one component into its packages."""

    def __init__(self, bundle: Bundle, source: ComponentSource, config: InductorConfig, target: str) -> None:
        self._card, self._component = bundle.card, bundle.components[source.name]
        self._source, self._config, self._target = source, config, target
        self._device = torch.device("cpu" if target == CPU else "cuda")
        rounding = DTYPES[bundle.card.precision]
        self._module = MixedModule(
            source.module, partial(weight_of, source), rounding, self._device, source.rounded_modules
        )

    def build(self, place: Path, folder: Path, progress: Progress) -> list[Engine]:
        """Weights once, and a package for each number of rows."""
        name, weights = self._source.name, place / f"{self._source.name}.safetensors"
        constants: dict[str, torch.Tensor] = {}
        packages = []
        for branches in self._config.branches if has_rows(self._source) else (1,):
            progress(f"{name}: compiling for {branches} {'rows' if branches > 1 else 'row'}")
            sizes = package_sizes(self._card, self._source, self._config, branches)
            path = place / (f"{name}-{branches}.pt2" if has_rows(self._source) else f"{name}.pt2")
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
                    inputs=fixed_inputs(self._component, self._source, sizes),
                    verification=checks,
                )
            )
        return records

    def _compiled(self, sizes: Sizes, path: Path) -> dict[str, torch.Tensor]:
        """Compile one package without weights; return those it will be given."""
        feeds, free = seeded_inputs(self._source, sizes), free_axes(self._source)
        return compile_package(
            self._module,
            self._tensors(feeds),
            path,
            free=[[i for i, axis in enumerate(spec.shape) if axis in free] for spec in self._source.inputs],
            max_autotune=self._config.max_autotune,
        )

    def _tensors(self, feeds: Arrays) -> list[torch.Tensor]:
        return [torch.from_numpy(feeds[spec.name]).to(self._device) for spec in self._source.inputs]

    def _checked(self, path: Path, constants: dict[str, torch.Tensor], sizes: Sizes) -> tuple[Check, ...]:
        """Against torch, as the exporter checks its graphs."""
        source, precision = self._source, self._card.precision
        runners = [*torch_runners(source, precision), lambda: self._runner(path, constants)]
        return tuple(
            compared_component(source, seeded_inputs(source, sizes), runners, Tolerance.at(precision))
        )

    def _runner(self, path: Path, constants: dict[str, torch.Tensor]) -> Runner:
        runner = torch._inductor.aoti_load_package(str(path))
        needed = {name: constants[name] for name in runner.get_constant_fqns()}
        runner.load_constants(needed, check_full_update=True, user_managed=True)

        def run(feeds: Arrays) -> list[np.ndarray[Any, Any]]:
            answers = runner(*self._tensors(feeds))
            answers = answers if isinstance(answers, (tuple, list)) else [answers]
            return [answer.cpu().numpy() for answer in answers]

        return run


def versions(target: str) -> dict[str, str]:
    """Versions and abilities that the runtime compares with those of the machine it finds itself on."""
    found = {"torch": importlib.metadata.version("torch")}
    if target == CPU:
        return found | {"instructions": " ".join(instruction_sets())}
    return found | {"cuda": torch.version.cuda or "", "triton": importlib.metadata.version("triton")}
