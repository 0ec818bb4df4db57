"""The schedule, against diffusers' and the recorded values."""

from __future__ import annotations

import numpy as np
import pytest
from diffusers import FlowMatchEulerDiscreteScheduler

from dit4sr.runtime.sampling.noise_levels import noise_levels


@pytest.mark.parametrize("shift", [1.0, 3.0, 6.5])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 28, 40, 999])
def test_levels_are_those_of_diffusers(steps, shift):
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(steps)
    np.testing.assert_allclose(noise_levels(steps, shift), scheduler.sigmas.numpy(), rtol=0, atol=6e-8)


def test_levels_of_the_fact_sheet():
    levels = noise_levels(40, 3.0)
    np.testing.assert_allclose(levels[:3], [1.0, 0.9913309, 0.9823558], atol=1e-7)
    np.testing.assert_allclose(levels[-4:], [0.1465087, 0.0810458, 0.0089286, 0], atol=1e-7)


def test_levels_fall_from_pure_noise_to_none():
    levels = noise_levels(17, 3.0)
    assert levels[0] == 1
    assert levels[-1] == 0
    assert (np.diff(levels) < 0).all()
