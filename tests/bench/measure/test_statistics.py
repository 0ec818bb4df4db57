"""The statistics on samples whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dit4sr.bench.measure.statistics import Summary, paired_ratio, unpaired_ratio


def noisy(seconds: float, count: int, seed: int, spread: float = 0.04) -> list[float]:
    """Timings as machines make them: a floor, a skewed spread, now and then an outlier."""
    rng = np.random.default_rng(seed)
    values = seconds * rng.lognormal(0, spread, count)
    values[rng.random(count) < 0.03] *= 3
    return values.tolist()


def test_percentiles_of_a_ramp():
    found = Summary.of([float(i) for i in range(101)])
    assert (found.count, found.p50, found.p90, found.p99) == (101, 50, 90, 99)
    assert (found.lowest, found.highest) == (0, 100)


def test_a_constant_factor_is_found_exactly():
    base = noisy(0.1, 12, seed=0)
    found = paired_ratio([1.5 * value for value in base], base)
    assert found.value == pytest.approx(1.5)
    assert (found.low, found.high) == (pytest.approx(1.5), pytest.approx(1.5))
    assert paired_ratio(base, [1.5 * value for value in base]).value == pytest.approx(1 / 1.5)


def test_an_outlier_moves_nothing():
    base = noisy(0.1, 15, seed=1, spread=0.001)
    slowed = [1.2 * value for value in base]
    slowed[3] *= 50
    assert paired_ratio(slowed, base).value == pytest.approx(1.2, rel=0.01)
    assert unpaired_ratio(slowed, base).value == pytest.approx(1.2, rel=0.01)


def test_signed_rank_bounds_are_those_of_the_published_table():
    """Ten pairs at 95 %: the table's critical value is 8, so bounds are the ninth means from the ends."""
    logs = np.array([0.11, 0.02, 0.31, -0.05, 0.17, 0.23, 0.07, 0.41, -0.13, 0.29])
    found = paired_ratio(np.exp(logs).tolist(), [1.0] * 10)
    walsh = sorted((logs[i] + logs[j]) / 2 for i in range(10) for j in range(i, 10))
    assert (found.low, found.high) == (pytest.approx(math.exp(walsh[8])), pytest.approx(math.exp(walsh[-9])))
    assert found.confidence == pytest.approx(1 - 2 * 25 / 1024)


def test_rank_sum_bounds_are_those_of_the_published_table():
    """Five against five at 95 %: the table's critical value is 2, so bounds are the third from the ends."""
    after, before = [1.1, 1.25, 1.4, 1.32, 1.05], [1.0, 0.92, 1.12, 0.97, 1.03]
    found = unpaired_ratio(after, before)
    ratios = sorted(a / b for a in after for b in before)
    assert (found.low, found.high) == (pytest.approx(ratios[2]), pytest.approx(ratios[-3]))
    assert found.confidence == pytest.approx(1 - 2 * 4 / 252)


def test_too_few_samples_admit_it():
    found = paired_ratio([1.1, 1.2, 1.3], [1.0, 1.0, 1.0])
    assert found.confidence == pytest.approx(0.75)
    assert (found.low, found.high) == (pytest.approx(1.1), pytest.approx(1.3))


@pytest.mark.parametrize(("ratio", "pairs"), [(paired_ratio, True), (unpaired_ratio, False)])
@pytest.mark.parametrize("count", [10, 60])
def test_bounds_hold_the_truth_as_often_as_they_say(ratio, pairs, count):
    """400 experiments with a known ratio: a 95 % interval misses about 20, hardly ever 36."""
    misses = 0
    for seed in range(400):
        base = noisy(0.1, count, seed=2 * seed)
        other = noisy(0.13, count, seed=2 * seed + 1)
        found = ratio(other, base)
        misses += not found.low <= 1.3 <= found.high
    assert misses <= 36
    assert pairs or misses >= 2  # not so wide that they say nothing


def test_exact_and_normal_bounds_meet(monkeypatch):
    after, before = noisy(0.11, 40, seed=5), noisy(0.1, 40, seed=6)
    exact = [paired_ratio(after, before), unpaired_ratio(after, before)]
    monkeypatch.setattr("dit4sr.bench.measure.statistics.MOST_EXACT", 0)
    normal = [paired_ratio(after, before), unpaired_ratio(after, before)]
    for a, b in zip(exact, normal, strict=True):
        assert (a.low, a.high) == (pytest.approx(b.low, rel=2e-3), pytest.approx(b.high, rel=2e-3))


@pytest.mark.parametrize("bad", [([], []), ([1.0], [1.0, 2.0])])
def test_samples_that_make_no_pairs_are_refused(bad):
    with pytest.raises(ValueError, match="do not make pairs"):
        paired_ratio(*bad)
