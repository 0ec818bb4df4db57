"""Counting magnitudes by their bits loses nothing that scales need."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.calibrate.observe.histogram import (
    BINS,
    as_numbers,
    centres,
    count,
    is_finite,
    magnitudes,
    percentile,
)


def halves(size: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size).astype(np.float16)


def test_magnitudes_are_the_absolute_values_bit_for_bit():
    values = halves().reshape(40, 500)[:, ::2]
    assert np.array_equal(as_numbers(magnitudes(values)), np.abs(values).astype(np.float32))


def test_every_number_is_counted_once_however_many_there_are():
    values = np.tile(halves(3000), 800)
    counts = count(magnitudes(values))
    assert counts.sum() == values.size
    assert counts.tolist() == (800 * count(magnitudes(halves(3000)))).tolist()


def test_what_is_not_finite_is_noticed():
    values = halves(100)
    assert is_finite(magnitudes(values))
    for odd in (np.inf, -np.inf, np.nan):
        assert not is_finite(magnitudes(np.append(values, np.float16(odd))))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_percentiles_are_true_to_a_bin(share):
    values = np.abs(halves().astype(np.float64))
    found, exact = percentile(count(magnitudes(halves())), share), np.quantile(values, share)
    assert exact * (1 - 1e-3) <= found <= exact * (1 + 2**-4)


def test_a_bins_number_lies_within_a_64th_of_all_that_fall_into_it():
    bits = np.arange(0x0400, 0x7C00, dtype=np.uint16)
    numbers, middles = as_numbers(bits), centres()[bits >> 5]
    assert len(centres()) == BINS
    assert np.abs(middles / numbers - 1).max() < 1 / 60
