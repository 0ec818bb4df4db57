"""What a change does to the pictures: restored again, and compared with those of the original bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.observe.tapped_upscaler import fits_in_memory, tapped_upscaler
from dit4sr.runtime.backends.tap import Recording
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.metrics import psnr_rgb, relative_errors
from dit4sr.runtime.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """A restored photo, and the velocity at every step on the way to it."""

    picture: Picture
    velocities: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Verdict:
    """What a change did, over all photos that it was evaluated on."""

    psnr: float
    """PSNR (RGB) between the pictures before and after, in decibels; of the photo that fares worst."""
    drop: float | None
    """Decibels that the mean PSNR (RGB) against the truth lost; ``None`` where no photo has a truth."""
    velocity: tuple[float, ...]
    """Relative error of the velocity at every step; of the photo that fares worst."""

    @property
    def worst_step(self) -> int:
        """The step whose velocity is furthest off, counted from 1."""
        return int(np.argmax(self.velocity)) + 1

    @property
    def drop_text(self) -> str:
        """The drop against the truth, in words for a message."""
        return "an unknown drop" if self.drop is None else f"a drop of {self.drop:.2f} dB"


class Evaluator:
    """Holds the original bundle's pictures, and restores the same photos with others."""

    def __init__(
        self, bundle: Bundle, cases: Sequence[Case], settings: Settings, *, seed: int = 0, threads: int = 0
    ) -> None:
        self._cases, self._settings, self._seed, self._threads = cases, settings, seed, threads
        self.originals = self.restore(bundle)

    def restore(self, bundle: Bundle) -> list[Outcome]:
        """Restore every photo with a bundle, and keep the velocities on the way."""
        outcomes, keep = [], fits_in_memory(bundle)
        velocities = Recording("velocity")
        with tapped_upscaler(
            bundle, {STEP: velocities}, threads=self._threads, keep_components=keep, frugal=not keep
        ) as upscaler:
            for case in self._cases:
                velocities.runs.clear()
                restored = upscaler.upscale(case.photo, seed=self._seed, settings=self._settings)
                outcomes.append(Outcome(restored.picture, tuple(velocities.runs)))
        return outcomes

    def evaluate(self, bundle: Bundle) -> Verdict:
        """Restore the photos with a changed bundle, and compare them with the original's."""
        return self.compare(self.restore(bundle))

    def compare(self, outcomes: Sequence[Outcome]) -> Verdict:
        """Compare the pictures that a changed bundle made with the original's."""
        pairs = list(zip(outcomes, self.originals, strict=True))
        errors = [relative_errors(after.velocities, before.velocities) for after, before in pairs]
        drops = [
            psnr_rgb(before.picture, case.truth) - psnr_rgb(after.picture, case.truth)
            for case, (after, before) in zip(self._cases, pairs, strict=True)
            if case.truth is not None
        ]
        return Verdict(
            psnr=min(psnr_rgb(after.picture, before.picture) for after, before in pairs),
            drop=float(np.mean(drops)) if drops else None,
            velocity=tuple(float(error) for error in np.max(errors, axis=0)),
        )
