"""The thing under test: a bundle opened by the runtime, with a picture to restore."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.bench.pictures import InputPicture
from dit4sr.bench.workload import Workload
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.tap import Recording, TappedBackend
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.sampling.tiles import Tiling
from dit4sr.runtime.settings import TileSizes
from dit4sr.runtime.upscaler import Progress


def bundle_path(given: Path | None) -> Path:
    """The bundle that was named, or the one in the box."""
    return tiny_bundle() if given is None else given


@dataclass
class StageTimes:
    """Seconds that the stages of a picture took, picture by picture; the steps one by one."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    steps: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Restoration:
    """A restored picture, and the latent after every step on the way to it."""

    picture: Picture
    latents: tuple[NDArray[np.float32], ...]


class Subject:
    """A bundle on a backend, with the picture it is measured with: a measurement takes no arguments."""

    def __init__(
        self,
        path: Path,
        picture: InputPicture,
        settings: Settings,
        *,
        backend: str,
        device: str,
        threads: int,
        trust_engines: bool = False,
    ) -> None:
        self.bundle = Bundle.open(path, trust_engines=trust_engines)
        self.picture, self.settings, self.threads = picture, settings, threads
        choice = choose(self.bundle, backend, device=device, threads=threads)
        self.backend = choice.backend
        self.upscaler = Upscaler(self.bundle, backend=choice)
        self.stages = StageTimes()

    def restore(self, settings: Settings | None = None, picture: InputPicture | None = None) -> Picture:
        """Restore a picture, by default the one that is timed; the result is the same every time."""
        return self.upscaler.upscale(
            (picture or self.picture).pixels, settings=settings or self.settings
        ).picture

    def restore_recorded(self, picture: InputPicture) -> Restoration:
        """Restore a picture of one tile, and keep the latents of that very run."""
        latents = Recording("next_latent")
        tapped = TappedBackend(self.backend, {"step": latents})
        # The engines of timed runs stay open as they are; these come one at a time beside them.
        with Upscaler(self.bundle, backend=tapped, keep_components=False) as upscaler:
            restored = upscaler.upscale(picture.pixels, settings=self.settings)
        if restored.warnings:  # its runs are those of other tiles, after some that were broken off
            raise OutOfMemoryError(restored.warnings[0], fix="use a smaller picture")
        return Restoration(restored.picture, tuple(latents.runs))

    def restore_timed(self) -> None:
        """Restore the timed picture, and note how long each stage and each step took."""
        ticks: list[float] = []

        def note(progress: Progress) -> None:
            if progress.stage == "step":
                ticks.append(time.perf_counter())

        restored = self.upscaler.upscale(self.picture.pixels, settings=self.settings, progress=note)
        for stage, seconds in restored.seconds.items():
            self.stages.seconds[stage].append(seconds)
        self.stages.steps += list(np.diff(ticks))

    @property
    def takes_any_size(self) -> bool:
        """True if pictures may be of any size, and not only of the one that the VAE was exported for."""
        [image] = self.bundle.components["vae_encoder"].inputs
        return not any(isinstance(axis, int) for axis in image.shape[2:])

    def takes(self, workload: Workload) -> bool:
        """True if the step was exported for this size and batch, or for any."""
        [latent] = [spec for spec in self.bundle.components["step"].inputs if spec.name == "latent"]
        images, _, *sides = latent.shape
        wanted = (workload.images, workload.height, workload.width)
        axes = zip((images, *sides), wanted, strict=True)
        return all(axis == length for axis, length in axes if isinstance(axis, int))

    @property
    def tiles(self) -> int:
        """How many tiles the picture is cut into."""
        return self._tiles_of(*self.picture.size)

    def middle_tile(self) -> InputPicture:
        """The largest middle of the picture that is one tile; all of a picture that is no more."""
        if self.tiles == 1:
            return self.picture
        most = round(self._tile_pixels / self.settings.scale)
        for side in range(most, 0, -1):  # a little less where the scale does not divide the tile
            height, width = (min(length, side) for length in self.picture.size)
            if self._tiles_of(height, width) == 1:
                return self.picture.fitted(height, width)
        raise BadInputError("no part of the picture is one tile", fix="use a larger tile")

    def workload(self, *, pixels: tuple[int, int] | None = None, images: int = 1) -> Workload:
        """What one step computes, for this picture or one of its tiles, or for a picture of other sizes."""
        height, width = self.picture.size
        work = self.upscaler.geometry(width, height, self.settings).work
        tile = self._tile_pixels
        schedule = self.settings.schedule(self.bundle.card)
        return Workload.of(
            self.bundle,
            pixels=pixels or (min(work[1], tile), min(work[0], tile)),
            steps=schedule.steps,
            branches=schedule.branches,
            images=images,
        )

    @property
    def whole_steps(self) -> float:
        """The steps of a tile, those of fewer rows counted by their share."""
        schedule = self.settings.schedule(self.bundle.card)
        return sum(schedule.rows) / schedule.branches

    def component(self, name: str, workload: Workload) -> Callable[[], Any]:
        """A call that runs a component once, with its arrays where the engine reads and writes them."""
        engine = self.backend.open(self.bundle, name)
        context = engine.context()
        inputs = {key: self.backend.upload(values) for key, values in workload.arrays(engine.inputs).items()}
        outputs = {spec.name: self.backend.empty(workload.shape(spec)) for spec in engine.outputs}
        return lambda: context.run(inputs, outputs)

    @property
    def _tile_pixels(self) -> int:
        tile = self.settings.resolved(self.bundle.card).tile
        assert tile is not None
        return tile

    def _tiles_of(self, height: int, width: int) -> int:
        """How many tiles a picture of this size is cut into."""
        card, sizes = self.bundle.card, TileSizes.of(self.settings, self.bundle.card)
        work = self.upscaler.geometry(width, height, self.settings).work
        latent = (work[1] // card.vae_factor, work[0] // card.vae_factor)
        return len(Tiling.cover(*latent, sizes.tile, sizes.overlap, card.patch_size).tiles)

    def close(self) -> None:
        """Free the engines."""
        self.upscaler.close()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
