"""The search, over pictures that are made up: what it keeps, and what it evaluates to know."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from dit4sr.calibrate.search.evaluator import Verdict
from dit4sr.calibrate.search.gate import Gate
from dit4sr.calibrate.search.selection import select_kept
from dit4sr.calibrate.search.sensitivity import measure_sensitivity, most_sensitive_first
from dit4sr.runtime.errors import AccuracyError

COSTS = {"a": 0.01, "b": 0.2, "c": 0.02, "d": 0.15, "e": 0.005}
"""What quantising each MatMul takes from the PSNR against the truth."""


class Bundles:
    """TrialBundles whose bundle is the set of quantised names."""

    qparams = COSTS

    @contextmanager
    def only(self, names):
        yield frozenset(names)

    @contextmanager
    def complete(self, kept):
        yield frozenset(COSTS) - kept


class Pictures:
    """An evaluator that adds up costs."""

    def __init__(self, floor: float = 0.0):
        self.floor, self.evaluated = floor, []

    def evaluate(self, names):
        self.evaluated.append(names)
        drop = self.floor + sum(COSTS[name] for name in names)
        return Verdict(50 - 30 * drop, drop, (drop,))


def search(gate: Gate, floor: float = 0.0):
    evaluator = Pictures(floor)
    rank = lambda: most_sensitive_first(measure_sensitivity(evaluator, Bundles(), list(COSTS)))  # noqa: E731
    return select_kept(evaluator, Bundles(), rank, gate), evaluator


@pytest.mark.parametrize(
    ("drop", "kept"),
    [(0.4, ""), (0.385, ""), (0.3, "b"), (0.185, "b"), (0.1, "bd"), (0.015, "bdc"), (0.004, "bdcae")],
)
def test_the_fewest_are_kept_and_the_most_sensitive_first(drop, kept):
    selection, evaluator = search(Gate(drop, 0))
    assert selection.kept == set(kept)
    assert selection.verdict.drop <= drop
    assert frozenset(COSTS) - selection.kept in evaluator.evaluated, "what is selected was evaluated"


def test_sensitivity_is_not_measured_for_nothing():
    _, evaluator = search(Gate(1.0, 0))
    assert evaluator.evaluated == [frozenset(COSTS)]


def test_either_limit_can_decide():
    assert search(Gate(1.0, 45))[0].kept == {"b", "d"}
    assert search(Gate(1.0, 0))[0].kept == frozenset()
    without_truth = Verdict(36.0, None, (0.1,))
    assert Gate(0.0, 35).passes(without_truth)
    assert not Gate(0.0, 37).passes(without_truth)


def test_what_cannot_be_had_is_said():
    with pytest.raises(AccuracyError, match=r"a drop of 0.50 dB are left.*0.3 dB or less"):
        search(Gate(0.3, 0), floor=0.5)
