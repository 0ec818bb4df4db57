"""Collects what one run of the bench finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dit4sr.bench.measure.statistics import paired_ratio, unpaired_ratio
from dit4sr.bench.measure.stopwatch import Timing
from dit4sr.bench.record import OURS, AccuracyRow, Comparison, Series


@dataclass
class Collector:
    """What has been found so far: samples, comparisons, and what was not measured and why."""

    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    accuracy: list[AccuracyRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, scope: str, contender: str, seconds: Sequence[float], warmups: Sequence[float] = ()
    ) -> None:
        """Keep the samples of one contender in one scope."""
        if seconds:
            self.series.append(Series(scope, contender, rounded(seconds), rounded(warmups)))

    def add_turns(self, scope: str, timings: dict[str, Timing]) -> None:
        """Keep the samples of contenders that took turns, and compare the others with ours."""
        for name, timing in timings.items():
            self.add(scope, name, timing.seconds, timing.warmups)
            if name != OURS:
                ratio = paired_ratio(timing.seconds, timings[OURS].seconds)
                self.comparisons.append(Comparison(scope, name, ratio, is_paired=True))

    def compare_unpaired(self, scope: str, name: str) -> None:
        """Compare a contender with ours where the samples are too few to make pairs of."""
        seconds = {s.contender: s.seconds for s in self.series if s.scope == scope}
        ratio = unpaired_ratio(seconds[name], seconds[OURS])
        self.comparisons.append(Comparison(scope, name, ratio, is_paired=False))


def rounded(seconds: Sequence[float]) -> tuple[float, ...]:
    """Seconds to the nanosecond, below which no clock sees."""
    return tuple(round(float(value), 9) for value in seconds)
