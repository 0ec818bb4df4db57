"""Solvers on an equation whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.runtime.sampling.noise_levels import noise_levels
from dit4sr.runtime.sampling.solver import Solver, read_velocities

LEVELS = noise_levels(12, 3.0)
ORDER = {Solver.EULER: 1, Solver.AB2: 2, Solver.DPMPP_2M: 2}


def uneven_levels(steps: int) -> np.ndarray:
    """Away from both infinities of the log-SNR, and not evenly spaced."""
    ramp = np.linspace(0, 1, steps + 1)
    return 0.9 - 0.7 * (0.6 * ramp + 0.4 * ramp**2)


def error_at(solver: Solver, steps: int) -> float:
    """Integrate dx/dσ = cos(3σ)·x from σ = 0.9 to 0.2."""
    levels = uneven_levels(steps)
    exact = np.diff(levels.astype(np.float64))
    # The coefficients come in float32, too coarse to see second order far down; only their ratios matter.
    rows = solver.coefficients(levels).astype(np.float64)
    memory = -rows[:, 2] / rows[:, 1].clip(max=-1e-12)
    latent, previous = 1.0, 0.0
    for i, stride in enumerate(exact):
        velocity = np.cos(3 * levels[i]) * latent
        weight = memory[i] / (1 - memory[i])
        latent += stride * ((1 + weight) * velocity - weight * previous)
        previous = velocity
    return abs(latent - np.exp((np.sin(0.6) - np.sin(2.7)) / 3))


@pytest.mark.parametrize("solver", Solver)
def test_errors_shrink_with_the_order(solver):
    errors = [error_at(solver, steps) for steps in (80, 160, 320)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, ORDER[solver], atol=0.1)


@pytest.mark.parametrize("solver", Solver)
def test_a_straight_path_is_walked_exactly(solver):
    """With a constant velocity every solver lands on the same point."""
    levels = noise_levels(7, 3.0)
    latent = 2.0
    for a, b, c in solver.coefficients(levels):
        latent = a * latent + b * 0.75 + c * 0.75
    assert latent == pytest.approx(2.0 - 0.75, abs=1e-6)


@pytest.mark.parametrize("solver", Solver)
def test_coefficients_are_finite_at_both_ends(solver):
    for steps in (1, 2, 3, 40):
        rows = solver.coefficients(noise_levels(steps, 3.0))
        assert rows.shape == (steps, 3)
        assert np.isfinite(rows).all()
        assert (rows[0] == [1, rows[0, 1], 0]).all()


def test_dpm_skips_memory_where_the_log_snr_is_infinite():
    rows = Solver.DPMPP_2M.coefficients(noise_levels(5, 3.0))
    assert rows[1, 2] == 0  # the step before started at pure noise
    assert rows[-1, 2] == 0  # this one ends on the clean picture
    assert rows[2, 2] != 0


def test_euler_is_the_released_update():
    levels = noise_levels(4, 3.0)
    rows = Solver.EULER.coefficients(levels)
    np.testing.assert_allclose(rows[:, 1], np.diff(levels), rtol=1e-6)
    assert (rows[:, 0] == 1).all()
    assert (rows[:, 2] == 0).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 40, 1000])
def test_without_reuse_the_coefficients_are_the_textbooks_bit_for_bit(steps):
    levels = noise_levels(steps, 3.0)
    strides = np.diff(levels.astype(np.float64))
    with np.errstate(divide="ignore"):
        clock = np.log1p(-levels.astype(np.float64)) - np.log(levels.astype(np.float64))
    in_log_snr = np.diff(clock)
    memory = {solver: np.zeros(steps) for solver in Solver}
    memory[Solver.AB2][1:] = strides[1:] / strides[:-1] / 2
    finite = np.isfinite(in_log_snr[1:]) & np.isfinite(in_log_snr[:-1])
    np.divide(in_log_snr[1:], 2 * in_log_snr[:-1], out=memory[Solver.DPMPP_2M][1:], where=finite)
    for solver, weight in memory.items():
        rows = np.stack([np.ones(steps), strides * (1 + weight), -strides * weight], axis=1)
        np.testing.assert_array_equal(solver.coefficients(levels), rows.astype(np.float32))


def walked(solver: Solver, letters: str, velocity) -> float:
    """A loop that makes every step by itself; a velocity is whatever is known of it at its level."""
    sigma = LEVELS.astype(np.float64)
    with np.errstate(divide="ignore"):
        clock = np.log1p(-sigma) - np.log(sigma) if solver is Solver.DPMPP_2M else sigma
    latent, known = 1.0, []
    for step, letter in enumerate(letters):
        if letter in "gu":
            known.append((clock[step], velocity(step)))
        (time, found) = known[-1]
        place = clock[step] if solver is Solver.EULER else (clock[step] + clock[step + 1]) / 2
        line = letter != "h" and len(known) > 1
        if line and np.isfinite(place - time) and np.isfinite(time - known[-2][0]):
            found += (place - time) / (time - known[-2][0]) * (found - known[-2][1])
        latent += (sigma[step + 1] - sigma[step]) * found
    return latent


@pytest.mark.parametrize("letters", ["ghghghghghgh", "ghhuxxuhxuxx", "gxxxxgxhxuhx", "gggghhhhuuuu"])
@pytest.mark.parametrize("solver", Solver)
def test_steps_that_do_not_run_are_in_the_coefficients_of_the_run_before(solver, letters):
    velocities = np.random.default_rng(0).normal(size=12)
    rows = solver.coefficients(LEVELS, read_velocities(letters))
    runs = [step for step, letter in enumerate(letters) if letter in "gu"]
    assert len(rows) == len(runs)
    latent, previous = 1.0, 0.0
    for (a, b, c), step in zip(rows.astype(np.float64), runs, strict=True):
        latent, previous = a * latent + b * velocities[step] + c * previous, velocities[step]
    assert latent == pytest.approx(walked(solver, letters, lambda step: velocities[step]), abs=1e-6)


def test_eulers_held_velocity_is_one_long_step():
    rows = Solver.EULER.coefficients(LEVELS, read_velocities("ghhh" * 3))
    np.testing.assert_array_equal(rows, Solver.EULER.coefficients(LEVELS[::4]))
