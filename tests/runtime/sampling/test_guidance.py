"""Guidance: weights of the branches, and when there is only one."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.guidance import Guidance


def test_weights_are_classifier_free_guidance():
    negative, positive = np.float32(0.3), np.float32(1.1)
    weights = Guidance(8.0).weights(is_on=True)
    np.testing.assert_allclose(
        weights @ [negative, positive], negative + 8 * (positive - negative), rtol=1e-6
    )


def test_outside_the_interval_the_positive_stands_alone():
    guidance = Guidance(8.0, (0.2, 0.9))
    assert [len(guidance.weights(is_on=guidance.is_on(level))) for level in (1.0, 0.9, 0.5, 0.2, 0.1)] == [
        1,
        2,
        2,
        2,
        1,
    ]
    np.testing.assert_array_equal(guidance.weights(is_on=False), [1])


def test_scale_one_is_off():
    assert not Guidance(1.0).is_on(0.5)


@pytest.mark.parametrize("scale", [0.5, -3, float("nan"), float("inf")])
def test_senseless_scales_are_refused(scale):
    with pytest.raises(BadInputError):
        Guidance(scale)


@pytest.mark.parametrize("interval", [(0.5, 0.2), (-0.1, 1), (0, 1.5), (float("nan"), 1)])
def test_senseless_intervals_are_refused(interval):
    with pytest.raises(BadInputError):
        Guidance(7.0, interval)
