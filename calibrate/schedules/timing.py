"""How long pictures of some schedules take here, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

TURNS = 7


@dataclass(frozen=True)
class Timing:
    """Seconds of a whole picture, in every turn; those at one place of two timings make a pair."""

    seconds: tuple[float, ...]
    steps: tuple[float, ...]
    """Of these, the seconds of the steps."""

    @property
    def median(self) -> float:
        """Seconds of a picture."""
        return median(self.seconds)

    def over(self, other: Timing) -> float:
        """How many times as long as another's: the median of all pairs."""
        return median(one / two for one, two in zip(self.seconds, other.seconds, strict=True))


def time_in_turns(upscaler: Upscaler, photo: Picture, schedules: Mapping[str, Settings]) -> dict[str, Timing]:
    """Restore a photo by one schedule after the other, turn by turn, in changing order.

    What slows the machine for a while slows all; the first turn is a warm-up.
    """
    wholes: dict[str, list[float]] = {name: [] for name in schedules}
    steps: dict[str, list[float]] = {name: [] for name in schedules}
    for turn in range(TURNS + 1):
        names = list(schedules)
        for name in names if turn % 2 else reversed(names):
            start = time.perf_counter()
            restored = upscaler.upscale(photo, settings=schedules[name])
            whole = time.perf_counter() - start
            if turn:
                wholes[name].append(round(whole, 6))
                steps[name].append(restored.seconds["step"])
    return {name: Timing(tuple(wholes[name]), tuple(steps[name])) for name in schedules}
