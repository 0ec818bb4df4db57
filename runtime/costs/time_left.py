"""How long a picture still takes: learnt from the runs that were timed, weighed by cost where none was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class TimeLeft:
    """Knows what a run of each engine takes, the better the more runs it has seen.

    An engine that has not run yet is held to take as much longer than the others as it costs more.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._runs: defaultdict[str, int] = defaultdict(int)

    def learn(self, engine: str, seconds: float) -> None:
        """A run of an engine took so long."""
        self._seconds[engine] += seconds
        self._runs[engine] += 1

    def of_run(self, engine: str, costs: Mapping[str, float]) -> float | None:
        """Seconds of one run; None as long as nothing has been timed."""
        if self._runs[engine]:
            return self._seconds[engine] / self._runs[engine]
        spent = sum(self._seconds.values())
        weighed = sum(costs.get(name, 1.0) * runs for name, runs in self._runs.items())
        return costs.get(engine, 1.0) * spent / weighed if weighed > 0 else None

    def of_runs(self, left: Mapping[str, int], costs: Mapping[str, float]) -> float | None:
        """Seconds of all the runs that are left."""
        each = {engine: self.of_run(engine, costs) for engine, runs in left.items() if runs}
        known = [left[engine] * seconds for engine, seconds in each.items() if seconds is not None]
        return sum(known) if len(known) == len(each) else None
