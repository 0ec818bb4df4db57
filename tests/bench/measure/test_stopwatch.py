"""Warm-up, the stop rule, turns, and clocks."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

from dit4sr.bench.measure.stopwatch import (
    CudaEventClock,
    MonotonicClock,
    StopRule,
    clock_for,
    measure,
    measure_in_turns,
)
from dit4sr.runtime.errors import MissingDependencyError


class ScriptedClock:
    """A clock whose every call takes what the contender says."""

    name = "scripted"

    def time(self, call: Callable[[], Any]) -> float:
        return float(call())


@pytest.mark.parametrize(
    ("runs", "seconds", "over"),
    [(10, 3.0, True), (9, 99.0, True), (9, 5.0, False), (50, 2.9, False), (2, 99.0, False), (3, 30.0, True)],
)
def test_enough_is_both_runs_and_time(runs, seconds, over):
    assert StopRule(least_runs=10, least_seconds=3, most_seconds=30).is_over(runs, seconds) is over


def test_fast_work_fills_the_time_and_slow_work_ends():
    rule = StopRule(warmups=2, least_runs=10, least_seconds=3, most_seconds=30)
    assert len(measure(lambda: 0.01, rule, ScriptedClock()).seconds) in {300, 301}
    assert len(measure(lambda: 1.0, rule, ScriptedClock()).seconds) == 10
    assert len(measure(lambda: 12.0, rule, ScriptedClock()).seconds) == 3


def test_warmups_are_kept_apart():
    calls = iter([9.0, 8.0, *[1.0] * 99])
    timing = measure(lambda: next(calls), StopRule(2, 5, 0, 10), ScriptedClock())
    assert (timing.warmups, timing.seconds) == ([9.0, 8.0], [1.0] * 5)


def test_contenders_take_turns_in_changing_order():
    order: list[str] = []

    def contender(name: str) -> Callable[[], float]:
        def call() -> float:
            order.append(name)
            return 1.0

        return call

    found = measure_in_turns({n: contender(n) for n in "abc"}, StopRule(0, 20, 0, 99), ScriptedClock())
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert len(set(rounds)) > 2
    assert {len(timing.seconds) for timing in found.values()} == {20}


def test_after_a_pause_a_contender_warms_up_before_it_is_timed():
    """The run after another's turn takes 9 seconds, the one that follows it 1; only the latter counts."""
    last = ""

    def contender(name: str) -> Callable[[], float]:
        def call() -> float:
            nonlocal last
            is_warm, last = last == name, name
            return 1.0 if is_warm else 9.0

        return call

    found = measure_in_turns(
        {n: contender(n) for n in "ab"}, StopRule(0, 9, 0, 99), ScriptedClock(), pause=1e-6
    )
    assert [timing.seconds for timing in found.values()] == [[1.0] * 9] * 2


def test_the_host_clock_measures_time():
    assert clock_for("cpu").name == MonotonicClock.name
    assert MonotonicClock().time(lambda: time.sleep(0.02)) >= 0.02


def test_the_device_clock_waits_for_the_device(monkeypatch):
    """Against bindings that record what is asked of them; a device itself is not needed."""
    said: list[str] = []

    def answer(name: str, *values: Any) -> Callable[..., tuple[Any, ...]]:
        def call(*_: Any) -> tuple[Any, ...]:
            said.append(name)
            return (0, *values)

        return call

    runtime = types.SimpleNamespace(
        cudaEventCreate=answer("create", object()),
        cudaDeviceSynchronize=answer("wait"),
        cudaEventRecord=answer("record"),
        cudaEventSynchronize=answer("wait for event"),
        cudaEventElapsedTime=answer("elapsed", 12.5),
    )
    for name, module in (("cuda", None), ("cuda.bindings", None), ("cuda.bindings.runtime", runtime)):
        monkeypatch.setitem(sys.modules, name, module or types.ModuleType(name))
    sys.modules["cuda.bindings"].runtime = runtime
    clock = CudaEventClock()
    said.clear()
    assert clock.time(lambda: said.append("work")) == 0.0125
    assert said == ["wait", "record", "work", "wait", "record", "wait for event", "elapsed"]
    runtime.cudaDeviceSynchronize = lambda: (700,)
    with pytest.raises(MissingDependencyError, match="does not answer"):
        clock.time(lambda: None)


def test_no_bindings_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingDependencyError, match="cuda-bindings"):
        clock_for("cuda")
