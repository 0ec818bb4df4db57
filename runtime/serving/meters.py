"""What a service counts for Triton's metrics: pictures by how they ended, steps, and seconds by component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OUTCOMES = ("restored", "refused", "failed", "cancelled")

_FAMILIES = {
    "dit4sr_pictures": "Pictures by outcome, warm-up included",
    "dit4sr_steps": "Runs of the network: steps times tiles",
    "dit4sr_seconds": "Seconds by component of the bundle, and of colours",
}


class Meters:
    """Counters in Triton's endpoint, labelled by model, version and instance."""

    def __init__(self, utils: Any, labels: Mapping[str, str]) -> None:
        kind = utils.MetricFamily.COUNTER
        self._families = {
            name: utils.MetricFamily(name=name, description=text, kind=kind)
            for name, text in _FAMILIES.items()
        }
        self._labels, self._counters = dict(labels), dict[tuple[str, str], Any]()
        for outcome in OUTCOMES:
            self._add("dit4sr_pictures", 0.0, "outcome", outcome)

    def picture(self, outcome: str) -> None:
        """Count a picture."""
        self._add("dit4sr_pictures", 1.0, "outcome", outcome)

    def step(self) -> None:
        """Count a run of the network, also for a picture that is then cancelled."""
        self._add("dit4sr_steps", 1.0)

    def seconds(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds of a picture's components."""
        for component, duration in seconds.items():
            self._add("dit4sr_seconds", duration, "component", component)

    def _add(self, family: str, amount: float, label: str = "", value: str = "") -> None:
        counter = self._counters.get((family, value))
        if counter is None:
            more = {label: value} if label else {}
            counter = self._families[family].Metric(labels=self._labels | more)
            self._counters[family, value] = counter
        counter.increment(amount)
