"""Time left: of engines that ran what was timed, of the others by their cost."""

from __future__ import annotations

import pytest

from dit4sr.runtime.costs.time_left import TimeLeft


def test_nothing_is_claimed_before_anything_was_timed():
    assert TimeLeft().of_runs({"step": 3}, {"step": 1.0}) is None
    assert TimeLeft().of_runs({"step": 0}, {"step": 1.0}) == 0


def test_what_has_not_run_takes_as_much_longer_as_it_costs_more():
    left = TimeLeft()
    left.learn("vae_encoder", 2.0)
    costs = {"vae_encoder": 1.0, "step": 0.5, "vae_decoder": 4.0}
    assert left.of_runs({"vae_encoder": 0, "step": 10, "vae_decoder": 1}, costs) == pytest.approx(10 + 8)


def test_what_has_run_takes_what_it_took_whatever_it_was_held_to_cost():
    left = TimeLeft()
    left.learn("step", 3.0)
    left.learn("step", 5.0)
    assert left.of_runs({"step": 2}, {"step": 99.0}) == pytest.approx(8)


def test_without_costs_every_run_counts_alike():
    left = TimeLeft()
    left.learn("vae_encoder", 2.0)
    assert left.of_runs({"step": 3}, {}) == pytest.approx(6)
