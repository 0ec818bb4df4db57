"""The kinds of engines that can be built, by name; and building those that a command asks for.

To add a kind, write its folder and give it a line in `BUILDERS`. What a builder needs (torch, onnx, TensorRT)
takes seconds to import, so it is imported when it is used: the options of all kinds are there at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from dit4sr.export.engines.adding import Progress
from dit4sr.export.engines.inductor import options as inductor
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.options import Given
from dit4sr.export.engines.tensorrt import options as tensorrt
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt_rtx import options as tensorrt_rtx
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Manifest
from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.export.pipeline import Pipeline

# ruff: noqa: PLC0415


class Builder(Protocol):
    """One kind of engine, as the exporter's command sees it."""

    @property
    def options(self) -> Sequence[click.Option]:
        """The options it takes, its own and shared ones."""
        ...

    @property
    def needs_checkpoint(self) -> bool:
        """True if a bundle is not enough to build from."""
        ...

    def config(self, given: Given) -> Any:
        """The config that the typed options ask for."""
        ...

    def check(self, precision: str, config: Any) -> None:
        """Refuse, before minutes of exporting, what could not be built here afterwards."""
        ...

    def add_to(self, bundle: Bundle, pipeline: Pipeline | None, config: Any, progress: Progress) -> Manifest:
        """Add engines to a bundle; its pipeline is there only where its checkpoint was given."""
        ...


class TensorRtBuilder:
    """Plans, made of a bundle's graphs."""

    options = tensorrt.OPTIONS
    needs_checkpoint = False

    def config(self, given: Given) -> TensorRtConfig:
        """The config that the typed options ask for."""
        return tensorrt.config_of(given)

    def check(self, precision: str, config: TensorRtConfig) -> None:
        """Refuse where a library, or the device that is asked for, is missing."""
        from dit4sr.export.engines.tensorrt.preflight import check

        check(precision, config)

    def add_to(
        self,
        bundle: Bundle,
        pipeline: Pipeline | None,  # noqa: ARG002 - the graphs say everything
        config: TensorRtConfig,
        progress: Progress,
    ) -> Manifest:
        """Add plans to a bundle, whatever it was exported from."""
        from dit4sr.export.engines.tensorrt.builder import add_to

        return add_to(bundle, config, progress=progress)


class RtxBuilder:
    """Plans for RTX cards, made of a bundle's graphs on any machine."""

    options = tensorrt_rtx.OPTIONS
    needs_checkpoint = False

    def config(self, given: Given) -> RtxConfig:
        """The config that the typed options ask for."""
        return tensorrt_rtx.config_of(given)

    def check(self, precision: str, config: RtxConfig) -> None:
        """Refuse where the library is missing, or has no such target."""
        from dit4sr.export.engines.tensorrt_rtx.preflight import check

        check(precision, config)

    def add_to(
        self,
        bundle: Bundle,
        pipeline: Pipeline | None,  # noqa: ARG002 - the graphs say everything
        config: RtxConfig,
        progress: Progress,
    ) -> Manifest:
        """Add plans to a bundle, whatever it was exported from."""
        from dit4sr.export.engines.tensorrt_rtx.builder import add_to

        return add_to(bundle, config, progress=progress)


class InductorBuilder:
    """Packages, made of the network in torch."""

    options = inductor.OPTIONS
    needs_checkpoint = True

    def config(self, given: Given) -> InductorConfig:
        """The config that the typed options ask for."""
        return inductor.config_of(given)

    def check(self, precision: str, config: InductorConfig) -> None:
        """Refuse where the compiler, or the device that is asked for, is missing."""
        from dit4sr.export.engines.inductor.preflight import preflight

        preflight(precision, config)

    def add_to(
        self, bundle: Bundle, pipeline: Pipeline | None, config: InductorConfig, progress: Progress
    ) -> Manifest:
        """Add packages to a bundle that was exported from the system."""
        from dit4sr.export.engines.inductor.builder import add_to

        assert pipeline is not None  # `EngineRequests.add_to` refuses first
        return add_to(bundle, pipeline, config, progress=progress)


BUILDERS: Mapping[str, Builder] = {
    "tensorrt": TensorRtBuilder(),
    "tensorrt-rtx": RtxBuilder(),
    "inductor": InductorBuilder(),
}
"""Every kind of engine by name, in the order in which they are built."""


def engine_options() -> list[click.Option]:
    """The options of all kinds, each once."""
    return list(dict.fromkeys(option for builder in BUILDERS.values() for option in builder.options))


def takers(option: click.Option) -> list[str]:
    """The names of the kinds that take an option."""
    return [name for name, builder in BUILDERS.items() if option in builder.options]


@dataclass(frozen=True)
class EngineRequests:
    """The engines that a command asks for: a config for each kind."""

    configs: Mapping[str, Any]

    @classmethod
    def of(cls, names: Sequence[str], given: Given) -> EngineRequests:
        """Configs from the typed options."""
        return cls({name: builder.config(given) for name, builder in BUILDERS.items() if name in names})

    def check(self, precision: str) -> None:
        """Refuse what could not be built here."""
        for name, config in self.configs.items():
            BUILDERS[name].check(precision, config)

    def add_to(self, path: Path, pipeline: Pipeline | None, progress: Progress) -> Manifest:
        """Add all of them to the bundle at a path, one kind after the other."""
        for name in self.configs:
            if BUILDERS[name].needs_checkpoint and pipeline is None:
                raise BadInputError(
                    f"{path} is a bundle, and {name} engines are made from its checkpoint",
                    fix="give the checkpoint, and the bundle as --output",
                )
        manifest = Bundle.open(path).manifest
        for name, config in self.configs.items():
            manifest = BUILDERS[name].add_to(Bundle.open(path), pipeline, config, progress)
        return manifest
