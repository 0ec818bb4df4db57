"""What a change does to the pictures: restored again, and held beside those of the original bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.metrics import psnr, relative_errors
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.observe.tap import STEP, Results, WatchedRuntime, can_stay_open
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler


@dataclass(frozen=True)
class Outcome:
    """A restored photo, and the velocity at every step on the way to it."""

    picture: Picture
    velocities: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Verdict:
    """What a change did, over all photos it was judged by."""

    psnr: float
    """Between the pictures before and after; of the photo that fares worst."""
    drop: float | None
    """What the mean PSNR against the truth lost; ``None`` where no photo has a truth."""
    velocity: tuple[float, ...]
    """Relative error of the velocity at every step; of the photo that fares worst."""

    @property
    def worst_step(self) -> int:
        """The step whose velocity is furthest off, counted from 1."""
        return int(np.argmax(self.velocity)) + 1

    def passes(self, most_drop: float, least_psnr: float) -> bool:
        """Whether the pictures are near enough."""
        return self.psnr >= least_psnr and (self.drop is None or self.drop <= most_drop)


class Judge:
    """Holds the original bundle's pictures, and restores the same photos with others."""

    def __init__(
        self, bundle: Bundle, cases: Sequence[Case], settings: Settings, *, seed: int = 0, threads: int = 0
    ) -> None:
        self._cases, self._settings, self._seed, self._threads = cases, settings, seed, threads
        self.originals = self.restore(bundle)

    def restore(self, bundle: Bundle) -> list[Outcome]:
        """Every photo's picture, with the velocities that led there."""
        velocities: list[NDArray[np.float32]] = []

        def see(results: Results) -> None:
            velocities.append(results["velocity"].copy())

        outcomes = []
        keep = can_stay_open(bundle)
        backend = WatchedRuntime({STEP: see}, self._threads, frugal=not keep)
        with Upscaler(bundle, backend=backend, keep_components=keep) as upscaler:
            for case in self._cases:
                velocities.clear()
                restored = upscaler.upscale(case.photo, seed=self._seed, settings=self._settings)
                outcomes.append(Outcome(restored.picture, tuple(velocities)))
        return outcomes

    def judge(self, bundle: Bundle) -> Verdict:
        """Compare a changed bundle's pictures with the original's."""
        return self.compare(self.restore(bundle))

    def compare(self, outcomes: Sequence[Outcome]) -> Verdict:
        """Compare pictures with the original's."""
        pairs = list(zip(outcomes, self.originals, strict=True))
        errors = [relative_errors(after.velocities, before.velocities) for after, before in pairs]
        drops = [
            psnr(before.picture, case.truth) - psnr(after.picture, case.truth)
            for case, (after, before) in zip(self._cases, pairs, strict=True)
            if case.truth is not None
        ]
        return Verdict(
            psnr=min(psnr(after.picture, before.picture) for after, before in pairs),
            drop=float(np.mean(drops)) if drops else None,
            velocity=tuple(float(error) for error in np.max(errors, axis=0)),
        )
