"""The machine's limits: the best of many measurements, and what is held against which."""

from __future__ import annotations

import pytest

from dit4sr.bench.measure import limit_probe, limits
from dit4sr.bench.measure.limit_probe import LimitProbe, host_probe
from dit4sr.bench.measure.limits import CACHES, COMPUTE, MEMORY, Limits

LIMITS = Limits(copy_bandwidth=10.0, cached_bandwidth=100.0, matmul_rate=1000.0, precision="fp32")


def test_the_best_measurement_stands(monkeypatch):
    """The second measurement has the machine to itself, the first and the third do not."""
    seconds = iter([2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 3.0, 6.0, 12.0])
    monkeypatch.setattr(limit_probe, "_fastest", lambda _: next(seconds))
    probe = LimitProbe({name: [(8.0, list)] for name in ("copy", "cached copy", "matmul")}, "fp32")
    for _ in range(3):
        probe.measure()
    assert probe.limits == Limits(8.0, 4.0, 2.0, "fp32")


def test_the_host_is_measured(monkeypatch):
    monkeypatch.setattr(limit_probe, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(limit_probe, "SIDES", (64,))
    found = host_probe(threads=1).limits
    assert found.matmul_rate > 1e8
    assert min(found.copy_bandwidth, found.cached_bandwidth) > 1e8


@pytest.mark.parametrize(
    ("cache", "flops", "moved", "seconds", "bound"),
    [
        (0, 1e4, 10, 10.0, COMPUTE),
        (0, 1e3, 100, 10.0, MEMORY),
        (1 << 20, 1e3, 200, 2.0, CACHES),
        (1 << 20, 1e4, 200, 10.0, COMPUTE),
    ],
)
def test_small_networks_are_held_against_the_caches(monkeypatch, cache, flops, moved, seconds, bound):
    monkeypatch.setattr(limits, "last_cache", lambda: cache)
    fitting = LIMITS.for_weights(1000)
    assert (fitting.seconds(flops, moved), fitting.bound(flops, moved)) == (seconds, bound)
