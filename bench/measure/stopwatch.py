"""Timing: warm-up, a rule when to stop, every sample kept, and contenders that take turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dit4sr.runtime.errors import MissingDependencyError

Call = Callable[[], Any]

LEAST_SPREAD = 3
"""The fewest runs that show a spread, however slow each is."""


@dataclass(frozen=True)
class StopRule:
    """When timing may stop: enough is both enough runs and enough time, as hyperfine has it.

    Slow work ends at ``most_seconds``.
    """

    warmups: int = 3
    least_runs: int = 10
    least_seconds: float = 3.0
    most_seconds: float = 30.0

    def is_over(self, runs: int, seconds: float) -> bool:
        """True if so many runs, which took so long together, are enough."""
        if runs >= self.least_runs and seconds >= self.least_seconds:
            return True
        return runs >= LEAST_SPREAD and seconds >= self.most_seconds


@dataclass
class Timing:
    """Seconds of one contender, run by run; warm-ups apart."""

    seconds: list[float] = field(default_factory=list)
    warmups: list[float] = field(default_factory=list)


class Clock(Protocol):
    """A way to time one call."""

    @property
    def name(self) -> str:
        """What a report calls the clock."""
        ...

    def time(self, call: Call) -> float:
        """Seconds from before a call until its work is done."""
        ...


class MonotonicClock:
    """The host's clock, for work that is done when its call returns."""

    name = "monotonic"

    def time(self, call: Call) -> float:
        """Seconds from before a call until it returns."""
        start = time.perf_counter()
        call()
        return time.perf_counter() - start


class CudaEventClock:
    """The device's clock: two events around the call, and everything on the device awaited between them."""

    name = "cuda events"

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime  # noqa: PLC0415  (only where there is a device)
        except ImportError:
            raise MissingDependencyError(
                "no cuda-bindings to time a device with", fix="pip install cuda-bindings"
            ) from None
        self._cuda: Any = runtime
        self._start, self._stop = (self._checked(runtime.cudaEventCreate()) for _ in range(2))

    def time(self, call: Call) -> float:
        """Seconds between an event before a call and one after its work."""
        cuda = self._cuda
        self._checked(cuda.cudaDeviceSynchronize())
        self._checked(cuda.cudaEventRecord(self._start, 0))
        call()
        # Engines have streams of their own, which an event on the default one does not follow.
        self._checked(cuda.cudaDeviceSynchronize())
        self._checked(cuda.cudaEventRecord(self._stop, 0))
        self._checked(cuda.cudaEventSynchronize(self._stop))
        milliseconds: float = self._checked(cuda.cudaEventElapsedTime(self._start, self._stop))
        return milliseconds / 1000

    @staticmethod
    def _checked(answer: tuple[Any, ...]) -> Any:
        status, *values = answer
        if int(status) != 0:
            raise MissingDependencyError(f"the CUDA device does not answer ({status})")
        return values[0] if values else None


def clock_for(device: str) -> Clock:
    """The clock for a device: the host's for the host, events for any other."""
    return MonotonicClock() if device == "cpu" else CudaEventClock()


def measure(call: Call, rule: StopRule, clock: Clock) -> Timing:
    """Time one call again and again until the rule is content."""
    return measure_in_turns({"": call}, rule, clock)[""]


def measure_in_turns(
    contenders: Mapping[str, Call], rule: StopRule, clock: Clock, *, pause: float = 0.0
) -> dict[str, Timing]:
    """Time several things in rounds, each once a round, in an order drawn anew every time.

    What slows the machine for a while then slows all of them, and sample i of each makes a pair. ``pause``
    lets threads that still spin after one contender fall asleep before the next, which then runs once
    without being timed: its weights left the caches while others had their turn, and steps follow steps.
    """
    timings = {name: Timing() for name in contenders}
    order, shuffle = list(contenders), random.Random(0).shuffle
    for _ in range(rule.warmups):
        for name in order:
            timings[name].warmups.append(clock.time(contenders[name]))
    rounds, elapsed = 0, 0.0
    while not rule.is_over(rounds, elapsed / len(order)):
        shuffle(order)
        for name in order:
            if pause:
                time.sleep(pause)
                contenders[name]()
            seconds = clock.time(contenders[name])
            timings[name].seconds.append(seconds)
            elapsed += seconds
        rounds += 1
    return timings
