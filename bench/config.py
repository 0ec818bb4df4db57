"""What to measure, and how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from dit4sr.bench.baselines.ablations import ablations_of
from dit4sr.bench.baselines.reference import require_network
from dit4sr.bench.measure.stopwatch import StopRule
from dit4sr.bench.pictures import InputPicture
from dit4sr.runtime import Settings
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, MissingDependencyError


@dataclass(frozen=True)
class BenchConfig:
    """Everything that a user may choose about a run of the bench."""

    bundle: Path
    pictures: tuple[InputPicture, ...]
    """The pictures to restore; the first is timed."""
    is_cropped: bool = False
    """True to cut the timed picture to what makes one tile."""
    settings: Settings = field(default_factory=Settings)
    backend: str = "auto"
    device: str = "auto"
    threads: int = 0
    trust_engines: bool = False
    """True to run engines of the bundle that were not built here."""
    rule: StopRule = field(default_factory=StopRule)
    cold_runs: int = 3
    baselines: tuple[str, ...] = ()
    checkpoint: Path | None = None
    """The checkpoint that the bundle was made of, for the cold start in torch."""
    reference: Path | None = None
    ablations: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    batches: tuple[int, ...] = ()
    has_roofline: bool = True
    metrics: tuple[str, ...] = ()
    command: str = "dit4sr-bench"

    def timed_picture(self) -> InputPicture:
        """The picture that is timed: the first, or the middle of it that makes one tile."""
        first = self.pictures[0]
        if not self.is_cropped:
            return first
        tile = self.settings.resolved(Bundle.open(self.bundle).card).tile
        assert tile is not None
        side = round(tile / self.settings.scale)
        return first.fitted(side, side)

    def check(self) -> None:
        """Refuse before minutes of measuring what could only fail after them."""
        if self.metrics and find_spec("pyiqa") is None:
            raise MissingDependencyError(
                "not installed: pyiqa, which --iqa asks for", fix="pip install pyiqa, or leave out --iqa"
            )
        if self.checkpoint is not None and not (self.checkpoint / "transformer").is_dir():
            raise BadInputError(
                f"no checkpoint at {self.checkpoint}", expected="a folder with transformer/ and vae/"
            )
        if self.reference is not None:
            Bundle.open(self.reference)
        bundle = Bundle.open(self.bundle)
        if self.baselines:
            require_network(bundle)
        known = ablations_of(bundle)
        if unknown := [name for name in self.ablations if name not in known]:
            raise BadInputError(f"--ablate {unknown[0]!r}", expected=f"some of {', '.join(known)}")


def default_baselines(bundle: Path) -> tuple[str, ...]:
    """The baselines that are measured unless a user says otherwise: eager torch, where it is installed.

    A bundle that does not name its network, as those of older versions, has nothing to be built in torch.
    """
    named = Bundle.open(bundle).manifest.architecture is not None
    return ("eager",) if named and _has_exporter() else ()


def default_checkpoint(bundle: Path) -> Path | None:
    """The trained weights in the box, if the bundle is the one in the box."""
    if not _has_exporter() or bundle != tiny_bundle():
        return None
    from dit4sr.export.tiny import CHECKPOINT  # noqa: PLC0415  (only where there is an exporter)

    return CHECKPOINT if CHECKPOINT.is_dir() else None


def _has_exporter() -> bool:
    return all(find_spec(name) is not None for name in ("torch", "diffusers", "onnx_ir", "safetensors"))
