"""The thing under test: a bundle opened by the runtime, with a picture to restore."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dit4sr.bench.workload import Workload
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.bundled import sample_photographs, tiny_bundle
from dit4sr.runtime.image.photo import Picture, read_content, read_photo
from dit4sr.runtime.sampling.tiles import Tiling
from dit4sr.runtime.settings import MOST_PIXELS, TileSizes
from dit4sr.runtime.upscaler import Progress


def bundle_path(given: Path | None) -> Path:
    """The bundle that was named, or the one in the box."""
    return tiny_bundle() if given is None else given


@dataclass(frozen=True)
class Specimen:
    """A low-resolution picture, and the truth where it is known."""

    name: str
    picture: Picture
    truth: Picture | None = None

    @classmethod
    def read(cls, path: Path, truth: Path | None = None) -> Specimen:
        """From files."""
        return cls(path.stem, _pixels(path), None if truth is None else _pixels(truth))

    def fitted(self, height: int, width: int) -> Specimen:
        """The middle of the picture at that size, or the whole resized where it is smaller."""
        if min(self.picture.shape[0] - height, self.picture.shape[1] - width) < 0:
            resized = Image.fromarray(self.picture).resize((width, height), Image.Resampling.BICUBIC)
            return Specimen(self.name, np.asarray(resized))
        top, left = (self.picture.shape[0] - height) // 2, (self.picture.shape[1] - width) // 2
        truth = None
        if self.truth is not None:
            factor = self.truth.shape[0] // self.picture.shape[0]
            truth = self.truth[top * factor :, left * factor :][: height * factor, : width * factor]
        return Specimen(self.name, self.picture[top : top + height, left : left + width], truth)


def sample_specimens() -> list[Specimen]:
    """The photographs in the box, with their truths; a drawn one where there are none."""
    return [Specimen.read(sample.photo, sample.truth) for sample in sample_photographs()] or [
        drawn_specimen()
    ]


def drawn_specimen(height: int = 64, width: int = 64) -> Specimen:
    """Slopes, edges and grain: a picture for timing, not for looking at."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    planes = np.stack([rows, columns, np.sin(24 * (rows + columns)) > 0], axis=-1) * 180.0 + 30
    grain = np.random.default_rng(0).normal(0, 8, planes.shape)
    return Specimen("drawn", (planes + grain).clip(0, 255).astype(np.uint8))


@dataclass
class Stages:
    """Seconds that stages of a picture took, picture by picture; the steps one by one."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    steps: list[float] = field(default_factory=list)


class Subject:
    """A bundle on a backend, with the picture it is measured with: a measurement takes no arguments."""

    def __init__(
        self, path: Path, specimen: Specimen, settings: Settings, *, backend: str, device: str, threads: int
    ) -> None:
        self.bundle = Bundle.open(path)
        self.specimen, self.settings = specimen, settings
        self.upscaler = Upscaler(self.bundle, backend=backend, device=device, threads=threads)
        self.backend: Backend = choose(self.bundle, backend, device=device, threads=threads).backend
        self.threads = threads
        self.stages = Stages()

    def restore(self, settings: Settings | None = None, specimen: Specimen | None = None) -> Picture:
        """The restored picture; the same every time."""
        picture: Picture = self.upscaler.upscale(
            (specimen or self.specimen).picture, settings=settings or self.settings
        ).picture
        return picture

    def restore_watched(self) -> None:
        """Restore, and note how long each stage and each step took."""
        ticks: list[float] = []

        def note(progress: Progress) -> None:
            if progress.stage == "step":
                ticks.append(time.perf_counter())

        restored = self.upscaler.upscale(self.specimen.picture, settings=self.settings, progress=note)
        for stage, seconds in restored.seconds.items():
            self.stages.seconds[stage].append(seconds)
        self.stages.steps += list(np.diff(ticks))

    @property
    def takes_any_size(self) -> bool:
        """Whether pictures may be of any size, or of the one that the VAE was exported for."""
        [image] = self.bundle.components["vae_encoder"].inputs
        return not any(isinstance(axis, int) for axis in image.shape[2:])

    def takes(self, workload: Workload) -> bool:
        """Whether the step was exported for this size and batch, or for any."""
        [latent] = [spec for spec in self.bundle.components["step"].inputs if spec.name == "latent"]
        images, _, *sides = latent.shape
        wanted = (workload.images, workload.height, workload.width)
        axes = zip((images, *sides), wanted, strict=True)
        return all(axis == length for axis, length in axes if isinstance(axis, int))

    @property
    def tiles(self) -> int:
        """Tiles that the picture is cut into."""
        card = self.bundle.card
        height, width = self.specimen.picture.shape[:2]
        work = self.upscaler.geometry(width, height, self.settings).work
        sizes = TileSizes.of(self.settings, card)
        latent = (work[1] // card.vae_factor, work[0] // card.vae_factor)
        return len(Tiling.cover(*latent, sizes.tile, sizes.overlap, card.patch_size).tiles)

    def workload(self, *, pixels: tuple[int, int] | None = None, images: int = 1) -> Workload:
        """What one step computes, for this picture or one of its tiles, or for a picture of other sizes."""
        height, width = self.specimen.picture.shape[:2]
        work = self.upscaler.geometry(width, height, self.settings).work
        tile = self.settings.resolved(self.bundle.card).tile
        assert tile is not None
        schedule = self.settings.schedule(self.bundle.card)
        return Workload.of(
            self.bundle,
            pixels=pixels or (min(work[1], tile), min(work[0], tile)),
            steps=schedule.steps,
            branches=schedule.branches,
            images=images,
        )

    def component(self, name: str, workload: Workload) -> Callable[[], Any]:
        """One run of a component, its arrays where the engine reads them and its outputs where it writes."""
        engine = self.backend.open(self.bundle, name)
        context = engine.context()
        inputs = {key: self.backend.upload(values) for key, values in workload.arrays(engine.inputs).items()}
        outputs = {spec.name: self.backend.empty(workload.shape(spec)) for spec in engine.outputs}
        return lambda: context.run(inputs, outputs)

    def close(self) -> None:
        """Free the engines."""
        self.upscaler.close()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pixels(path: Path) -> Picture:
    return read_photo(read_content(path), str(path), most_pixels=MOST_PIXELS).rgb
