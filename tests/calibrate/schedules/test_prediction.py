"""Predictions, on a network that answers as they take it to: there they are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.quantised_system import CARD

from dit4sr.calibrate.schedules.candidate import Candidate, fewer_steps
from dit4sr.calibrate.schedules.prediction import Predictor
from dit4sr.calibrate.schedules.search import best_of, cheapest_ways, improved, within
from dit4sr.calibrate.schedules.trajectory import Trajectory
from dit4sr.runtime.sampling.solver import Solver

STEPS, SCALE = 12, 3.0
EXACT = Candidate(Solver.EULER, "g" * STEPS, SCALE)


class Network:
    """Denoised picture: a mean that moves with the level, and a share of the latent; less of it unguided."""

    def __init__(self, share: float, seed: int = 0) -> None:
        self.means = np.random.default_rng(seed).normal(size=(3, 50))
        self.share = share

    def velocity(self, latent, level, *, is_guided):
        first, second, pull = self.means
        mean = first + second * level**2 + (0.3 * pull if is_guided else 0)
        return (latent - mean * (1 - self.share) - self.share * latent) / level

    def walk(self, candidate: Candidate, seed: int = 1):
        """The end of a schedule, and what the network saw and said on the way."""
        schedule = candidate.schedule(CARD)
        latent = np.random.default_rng(seed).normal(size=50)
        previous, seen = np.zeros(50), []
        for level, (a, b, c), rows in zip(
            schedule.levels.astype(float), schedule.coefficients.astype(float), schedule.rows, strict=False
        ):
            velocity = self.velocity(latent, level, is_guided=rows > 1)
            seen.append((latent, velocity, self.velocity(latent, level, is_guided=False)))
            latent, previous = a * latent + b * velocity + c * previous, velocity
        return latent, seen


def trajectory(network: Network) -> Trajectory:
    _, seen = network.walk(EXACT)
    velocities = np.array([run[1] for run in seen] + [run[2] for run in seen])
    astray = np.zeros(STEPS)
    astray[::3] = 2.0
    return Trajectory(velocities @ velocities.T / 50, astray * network.share, astray)


@pytest.fixture(params=[0.0, 0.4, 0.9])
def network(request) -> Network:
    return Network(request.param)


@pytest.mark.parametrize("letters", ["gh" * 6, "gx" * 6, "u" * 12, "gghhuxugxxhu", "guuuuuuuuuuu"])
@pytest.mark.parametrize("solver", Solver)
def test_the_end_of_every_schedule_is_foreseen(network, solver, letters):
    candidate = Candidate(solver, letters, SCALE)
    found = Predictor(EXACT, CARD, [trajectory(network)]).loss(candidate)
    off = network.walk(candidate)[0] - network.walk(EXACT)[0]
    assert found == pytest.approx(np.mean(off**2), rel=1e-4, abs=1e-10)


def test_the_exact_schedule_loses_nothing(network):
    assert Predictor(EXACT, CARD, [trajectory(network)]).loss(EXACT) < 1e-12


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_other_steps_lie_between_those_that_were_seen(steps):
    """Between steps the exact way's velocity is a line, so what is foreseen is near, and not equal."""
    network = Network(0.4)
    predictor = Predictor(EXACT, CARD, [trajectory(network)])
    off = network.walk(fewer_steps(steps, Solver.EULER, SCALE))[0] - network.walk(EXACT)[0]
    found = predictor.loss(fewer_steps(steps, Solver.EULER, SCALE))
    assert found == pytest.approx(np.mean(off**2), rel=0.6)


def test_without_guidance_there_is_one_velocity_for_each_step():
    network, exact = Network(0.4), Candidate(Solver.EULER, "u" * STEPS, 1.0)
    _, seen = network.walk(exact)
    velocities = np.array([run[1] for run in seen])
    astray = np.ones(STEPS)
    known = Trajectory(velocities @ velocities.T / 50, 0.4 * astray, astray)
    candidate = Candidate(Solver.AB2, "uh" * 6, 1.0)
    off = network.walk(candidate)[0] - network.walk(exact)[0]
    assert Predictor(exact, CARD, [known]).loss(candidate) == pytest.approx(np.mean(off**2), rel=1e-4)


def test_the_search_goes_from_dear_to_cheap_and_beats_what_it_begins_with():
    predictor = Predictor(EXACT, CARD, [trajectory(Network(0.4))])
    found = cheapest_ways(EXACT, predictor)
    assert [each.rows for each in found.values()] == sorted(found, reverse=True)
    assert (max(found), min(found)) == (24, 1)
    for rows in (12, 8, 6, 4):
        chosen = within(found, rows, predictor)
        better = improved(chosen, predictor)
        assert better.rows == chosen.rows <= rows
        assert predictor.loss(better) <= predictor.loss(chosen)
        fewer = fewer_steps(rows // 2, Solver.EULER, SCALE)
        assert predictor.loss(better) < predictor.loss(fewer)
        assert predictor.loss(best_of([found], rows, predictor, 1)[0]) == predictor.loss(better)


def test_a_search_with_one_letter_uses_no_other():
    predictor = Predictor(EXACT, CARD, [trajectory(Network(0.4))])
    found = cheapest_ways(replace(EXACT, family="fewer guided steps"), predictor, "u")
    assert set("".join(each.velocities for each in found.values())) == {"g", "u"}
    assert min(found) == STEPS
    assert {each.family for each in found.values()} == {"fewer guided steps"}
