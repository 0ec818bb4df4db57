"""What timings say, and how sure one may be of it.

Timings are skewed and have outliers, so nothing here assumes a bell curve: intervals are those of the rank
tests, exact for small samples. A ratio is a Hodges-Lehmann estimate, the median of all pairwise comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
MOST_EXACT = 40
"""Sample size up to which rank distributions are counted; above it they are normal for all purposes."""

Samples = Sequence[float]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """A sample in numbers that survive outliers."""

    count: int
    p50: float
    p90: float
    p99: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, samples: Samples) -> Summary:
        """Summarise samples; percentiles are interpolated linearly between neighbours."""
        values = np.asarray(samples, dtype=np.float64)
        p50, p90, p99 = (float(value) for value in np.percentile(values, [50, 90, 99]))
        return cls(len(values), p50, p90, p99, float(values.min()), float(values.max()))


@dataclass(frozen=True)
class Ratio:
    """How many times longer one thing takes than another, and between which bounds that lies."""

    value: float
    low: float
    high: float
    confidence: float
    """The confidence of the bounds; few samples cannot give what was asked for."""

    @property
    def has_bounds(self) -> bool:
        """True if the bounds are more than the samples' own ends with no confidence at all."""
        return self.confidence > 0


def paired_ratio(seconds: Samples, baseline: Samples, confidence: float = CONFIDENCE) -> Ratio:
    """The ratio of ``seconds`` to ``baseline``, measured in turns.

    Sample i of both met the same state of the machine. The interval is that of Wilcoxon's signed-rank test
    on the logarithms.
    """
    if len(seconds) != len(baseline) or not seconds:
        raise ValueError(f"{len(seconds)} and {len(baseline)} samples do not make pairs")
    logs = np.log(np.asarray(seconds, dtype=np.float64) / np.asarray(baseline, dtype=np.float64))
    rows, columns = np.triu_indices(len(logs))
    means = np.sort((logs[rows] + logs[columns]) / 2)
    if len(logs) <= MOST_EXACT:
        return _interval(means, np.cumsum(_signed_rank_chances(len(logs))), confidence)
    count = len(logs)
    spread = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    return _normal_interval(means, spread, confidence)


def unpaired_ratio(seconds: Samples, baseline: Samples, confidence: float = CONFIDENCE) -> Ratio:
    """The ratio of ``seconds`` to ``baseline`` of different runs, with the rank-sum test's interval."""
    if not seconds or not baseline:
        raise ValueError("a ratio needs samples on both sides")
    logs = [np.log(np.asarray(values, dtype=np.float64)) for values in (seconds, baseline)]
    differences = np.sort((logs[0][:, None] - logs[1][None]).ravel())
    first, second = len(seconds), len(baseline)
    if max(first, second) <= MOST_EXACT:
        return _interval(differences, np.cumsum(_rank_sum_chances(first, second)), confidence)
    return _normal_interval(differences, math.sqrt(first * second * (first + second + 1) / 12), confidence)


def _interval(comparisons: Floats, cumulative: Floats, confidence: float) -> Ratio:
    """The ratio with the bounds that a rank test would not reject; at the widest the outermost ones."""
    tail = (1 - confidence) / 2
    rank = max(int(np.searchsorted(cumulative, tail, side="right")), 1)
    return _between(comparisons, rank, 1 - 2 * float(cumulative[rank - 1]))


def _normal_interval(comparisons: Floats, spread: float, confidence: float) -> Ratio:
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    rank = max(math.floor((len(comparisons) + 1) / 2 - reach), 1)
    return _between(comparisons, rank, confidence)


def _between(comparisons: Floats, rank: int, confidence: float) -> Ratio:
    value = math.exp(float(np.median(comparisons)))
    low, high = (math.exp(float(comparisons[place])) for place in (rank - 1, -rank))
    return Ratio(value, low, high, max(confidence, 0.0))


@cache
def _signed_rank_chances(count: int) -> Floats:
    """Chance of every sum of signed ranks, if either sign is as likely."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1
    for rank in range(1, count + 1):
        moved = np.zeros_like(chances)
        moved[rank:] = chances[:-rank]
        chances = (chances + moved) / 2
    return chances


@cache
def _rank_sum_chances(first: int, second: int) -> Floats:
    """Chance of every rank-sum statistic: a Gaussian binomial coefficient, counted in whole numbers."""
    counts = [1] + [0] * (first * second)
    for i in range(1, first + 1):
        step = second + i
        for place in range(len(counts) - 1, step - 1, -1):
            counts[place] -= counts[place - step]
        for place in range(i, len(counts)):
            counts[place] += counts[place - i]
    total = math.comb(first + second, first)
    return np.array([count / total for count in counts])
