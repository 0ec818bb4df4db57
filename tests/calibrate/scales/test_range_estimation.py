"""Ranges from histograms: the error they promise, and which method clips what."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.calibrate.observe.histogram import count, magnitudes
from dit4sr.calibrate.scales.formats import FP8, INT8
from dit4sr.calibrate.scales.range_estimation import activation_scale, expected_error


def halves(size: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size).astype(np.float16)


@pytest.mark.parametrize("format_", [FP8, INT8], ids=lambda format_: format_.name)
@pytest.mark.parametrize("reach", [2.0, 8.0, 40.0])
def test_the_expected_error_is_the_error(format_, reach):
    values = halves().astype(np.float32)
    scale = float(format_.scale_for(reach))
    exact = float(np.mean((format_.rounded(values, scale) - values) ** 2))
    assert expected_error(format_, scale, count(magnitudes(halves()))) == pytest.approx(exact, rel=0.15)


def test_least_squares_clips_whole_numbers_but_leaves_an_exponent_alone():
    """E4M3 is as fine below its largest number as anywhere; eight-bit whole numbers pay for every outlier."""
    values = halves(200_000)
    amax, counts = float(np.abs(values).max()), count(magnitudes(values))
    reaches = {f.name: activation_scale("mse", f, amax, counts) * f.largest / amax for f in (FP8, INT8)}
    assert reaches["int8"] < 0.7
    assert reaches["fp8"] > reaches["int8"]
    for format_ in (FP8, INT8):
        errors = {
            method: expected_error(format_, activation_scale(method, format_, amax, counts), counts)
            for method in ("amax", "percentile", "mse")
        }
        assert errors["mse"] == min(errors.values())
