"""What is kept: what beats fewer steps of the same cost, and what nothing dominates."""

from __future__ import annotations

import pytest

from dit4sr.calibrate.schedules.candidate import Candidate
from dit4sr.calibrate.schedules.judge import Verdict
from dit4sr.calibrate.schedules.selection import better_than_fewer, cheapest, costs, not_dominated
from dit4sr.runtime.sampling.solver import Solver


def verdict(rows: int, psnr: float, drop: float | None = 0.0) -> Verdict:
    letters = "g" * (rows // 2) + "u" * (rows % 2)
    return Verdict(Candidate(Solver.EULER, letters, 2.0), psnr, psnr - 1, drop, 0.1)


def found(verdicts) -> list[tuple[int, float]]:
    return [(each.candidate.rows, each.psnr) for each in verdicts]


FEWER = [verdict(20, 50.0), verdict(10, 45.0), verdict(4, 38.0)]


@pytest.mark.parametrize(
    ("candidate", "is_kept"),
    [
        (verdict(20, 50.1), True),
        (verdict(20, 50.0), False),
        (verdict(11, 49.0), False),  # fewer steps have no 11 rows: the next they can have are 20
        (verdict(11, 50.5), True),
        (verdict(4, 37.0), False),
        (verdict(3, 38.5), True),
        (verdict(30, 10.0), True),  # nothing to compare with
    ],
)
def test_what_fewer_steps_do_as_well_is_not_kept(candidate, is_kept):
    assert bool(better_than_fewer([candidate], FEWER)) is is_kept


def test_what_another_dominates_is_not_kept():
    verdicts = [verdict(10, 45), verdict(8, 46), verdict(20, 50), verdict(20, 51), verdict(4, 30)]
    assert found(not_dominated(verdicts)) == [(20, 51), (8, 46), (4, 30)]


def test_the_cheapest_that_is_near_enough_with_a_margin():
    verdicts = [verdict(20, 52), verdict(12, 51.2), verdict(10, 50.5), verdict(4, 60, drop=0.2)]
    assert found([cheapest(verdicts, 50.0, 0.05)]) == [(12, 51.2)]
    assert cheapest(verdicts, 55.0, 0.05) is None
    assert found([cheapest([verdict(6, 51, drop=None)], 50.0, 0.05)]) == [(6, 51)]


def test_costs_are_those_that_fewer_steps_can_have():
    assert costs(80, 2) == [60, 40, 32, 24, 16, 12, 8, 6, 4]
    assert costs(40, 1) == [30, 20, 16, 12, 8, 6, 4, 3, 2]
    assert costs(8, 2) == [6, 4, 2]
