"""Other work is told from one's own."""

from __future__ import annotations

import os
import time

import pytest

from dit4sr.bench.measure import background_load
from dit4sr.bench.measure.background_load import BackgroundLoad

TICKS = os.sysconf("SC_CLK_TCK")


def stat(seconds: list[float]) -> str:
    return "cpu  " + " ".join(str(int(value * TICKS)) for value in seconds) + "\ncpu0 9 9 9\n"


def test_what_is_neither_idle_nor_ours_is_background_load(tmp_path, monkeypatch):
    """Of nine busy seconds in two, five were our own; waiting for disks and a guest's share are no work."""
    clock, own = iter([10.0, 12.0]), iter([3.0, 8.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(background_load, "own_seconds", lambda: next(own))
    file = tmp_path / "stat"
    file.write_text(stat([100, 0, 50, 1000, 7, 0, 0, 0, 40, 0]))
    load = BackgroundLoad(file)
    file.write_text(stat([105, 1, 51, 1234, 70, 0, 0, 2, 45, 0]))
    assert load.cores() == pytest.approx(2.0)


def test_own_work_is_counted_as_own():
    before = background_load.own_seconds()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        sum(range(1000))
    assert background_load.own_seconds() - before >= 0.08


def test_a_system_that_does_not_say_has_no_background_load(tmp_path):
    assert BackgroundLoad(tmp_path / "none").cores() == 0
