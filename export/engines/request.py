"""Engines as the command line asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dit4sr.export.engines import Progress
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.manifest import Manifest

if TYPE_CHECKING:
    from dit4sr.export.engines.inductor.builder import InductorConfig
    from dit4sr.export.engines.tensorrt import Form, TensorRtConfig
    from dit4sr.export.pipeline import Pipeline

TENSORRT, INDUCTOR = "tensorrt", "inductor"

# Each backend's builder takes seconds to import, and only one of them is usually asked for.
# ruff: noqa: PLC0415


@dataclass(frozen=True)
class EngineRequest:
    """What to build; each kind takes what concerns it."""

    kinds: tuple[str, ...]
    architecture: int | None = None
    profiles: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    device: str = "auto"
    max_autotune: bool = False
    allow_unfused: bool = False
    weight_stripped: bool = False
    version_compatible: bool = False
    builder_level: int = 3
    workspace: int | None = None
    """Bytes."""
    attention: Form = "native"
    inject: Form = "plugin"
    time_layers: bool = False
    verify: bool = True

    def check(self, precision: str) -> None:
        """Refuse before minutes of exporting what could not be built afterwards."""
        if INDUCTOR in self.kinds:
            from dit4sr.export.engines.inductor import builder as inductor

            inductor.preflight(precision, self._for_inductor())
        if TENSORRT in self.kinds:
            from dit4sr.export.engines import tensorrt

            tensorrt.check(precision, self._for_tensorrt())

    def add_to(self, path: Path, system: Pipeline | None, progress: Progress) -> Manifest:
        """Add engines to a bundle. TensorRT needs no more than the bundle; torch needs its weights."""
        if INDUCTOR in self.kinds and system is None:
            raise BadInputError(
                f"{path} is a bundle, and {INDUCTOR} engines are made from its checkpoint",
                fix="give the checkpoint, and the bundle as --output",
            )
        manifest = Bundle.open(path).manifest
        if TENSORRT in self.kinds:
            from dit4sr.export.engines import tensorrt

            manifest = tensorrt.add_to(Bundle.open(path), self._for_tensorrt(), progress=progress)
        if INDUCTOR in self.kinds and system is not None:
            from dit4sr.export.engines.inductor import builder as inductor

            manifest = inductor.add_to(Bundle.open(path), system, self._for_inductor(), progress=progress)
        return manifest

    def _for_tensorrt(self) -> TensorRtConfig:
        from dit4sr.export.engines.tensorrt import Forms, TensorRtConfig, picture_spans

        return TensorRtConfig(
            architecture=self.architecture,
            components=self.components,
            pictures=tuple(picture_spans(profile) for profile in self.profiles),
            allow_unfused=self.allow_unfused,
            weight_stripped=self.weight_stripped,
            version_compatible=self.version_compatible,
            level=self.builder_level,
            workspace=self.workspace,
            forms=Forms(self.attention, self.inject),
            time_layers=self.time_layers,
            verify=self.verify,
        )

    def _for_inductor(self) -> InductorConfig:
        from dit4sr.export.engines.inductor.builder import InductorConfig, picture_of

        if len(self.profiles) > 1:
            raise BadInputError(f"{len(self.profiles)} profiles", expected=f"one for {INDUCTOR} engines")
        return InductorConfig(
            device=self.device,
            architecture=self.architecture,
            picture=picture_of(self.profiles[0]) if self.profiles else None,
            max_autotune=self.max_autotune,
            components=self.components,
            verify=self.verify,
        )
