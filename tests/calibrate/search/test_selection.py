"""The search, over pictures that are made up: what it keeps, and what it looks at to know."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.search.evaluator import Judge, Outcome, Verdict
from dit4sr.calibrate.search.selection import Gate, choose_kept, measure_alone, most_sensitive_first
from dit4sr.runtime.errors import AccuracyError

COSTS = {"a": 0.01, "b": 0.2, "c": 0.02, "d": 0.15, "e": 0.005}
"""What quantising each product takes from the PSNR against the truth."""


class Bundles:
    """Candidates whose bundle is the set of quantised names."""

    treatments = COSTS

    @contextmanager
    def only(self, names):
        yield frozenset(names)

    @contextmanager
    def complete(self, kept):
        yield frozenset(COSTS) - kept


class Pictures:
    """A judge that adds up costs."""

    def __init__(self, floor: float = 0.0):
        self.floor, self.judged = floor, []

    def judge(self, names):
        self.judged.append(names)
        drop = self.floor + sum(COSTS[name] for name in names)
        return Verdict(50 - 30 * drop, drop, (drop,))


def search(gate: Gate, floor: float = 0.0):
    judge = Pictures(floor)
    rank = lambda: most_sensitive_first(measure_alone(judge, Bundles(), list(COSTS)))  # noqa: E731
    return choose_kept(judge, Bundles(), rank, gate), judge


@pytest.mark.parametrize(
    ("drop", "kept"),
    [(0.4, ""), (0.385, ""), (0.3, "b"), (0.185, "b"), (0.1, "bd"), (0.015, "bdc"), (0.004, "bdcae")],
)
def test_the_fewest_are_kept_and_the_most_sensitive_first(drop, kept):
    choice, judge = search(Gate(drop, 0))
    assert choice.kept == set(kept)
    assert choice.verdict.drop <= drop
    assert frozenset(COSTS) - choice.kept in judge.judged, "what is chosen was looked at"


def test_sensitivity_is_not_measured_for_nothing():
    _, judge = search(Gate(1.0, 0))
    assert judge.judged == [frozenset(COSTS)]


def test_either_limit_can_decide():
    assert search(Gate(1.0, 45))[0].kept == {"b", "d"}
    assert search(Gate(1.0, 0))[0].kept == frozenset()
    without_truth = Verdict(36.0, None, (0.1,))
    assert Gate(0.0, 35).lets(without_truth)
    assert not Gate(0.0, 37).lets(without_truth)


def test_what_cannot_be_had_is_said():
    with pytest.raises(AccuracyError, match=r"a drop of 0.50 dB are left.*0.3 dB or less"):
        search(Gate(0.3, 0), floor=0.5)


def test_a_verdict_takes_the_worst_photo_and_names_the_worst_step():
    truth = np.full((8, 8, 3), 100, np.uint8)
    one, other = np.ones((1, 2), np.float32), np.full((1, 2), 2, np.float32)
    before = [Outcome(truth + 2, (one, one)), Outcome(truth + 4, (one, one))]
    after = [Outcome(truth + 2, (one, one)), Outcome(truth + 5, (one, other))]
    judge = Judge.__new__(Judge)
    judge.originals = before
    judge._cases = [Case("known", truth, truth), Case("unknown", truth)]
    verdict = judge.compare(after)
    assert verdict.psnr == pytest.approx(20 * np.log10(255))
    assert verdict.drop == 0
    assert verdict.velocity == pytest.approx((0, 1))
    assert verdict.worst_step == 2
    judge._cases = [SimpleNamespace(truth=None)] * 2
    assert judge.compare(after).drop is None
