"""How far a schedule will end from the exact latent, predicted from exact restorations alone.

Along its own way a schedule is astray by some e from the exact latent at the same noise level. The network
then answers with the denoised picture of the exact way, moved by a share of e that depends on the level:
little of it near pure noise, nearly all of it at the end. So its velocity is the exact one + (1 - share)·e/σ.
With that the end is linear in the exact velocities, and how far it is off needs only their products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.schedules.candidate import Candidate
from dit4sr.calibrate.schedules.trajectory import Trajectory
from dit4sr.runtime.bundles.manifest import ModelCard

Floats = NDArray[np.float64]


class Predictor:
    """Predicts the loss of schedules of one bundle, over the photos whose trajectories it was given.

    They may have no more steps than the exact one: between its steps nothing is known but a line.
    """

    def __init__(self, exact: Candidate, card: ModelCard, trajectories: Sequence[Trajectory]) -> None:
        self._card, self._steps = card, exact.steps
        schedule = exact.schedule(card)
        self._levels = schedule.levels.astype(np.float64)
        self._products = np.mean([each.products for each in trajectories], axis=0)
        self._unguided_at = self._steps if len(self._products) > self._steps else 0
        self._shares = _shares(trajectories)
        self._places = self._exact_places(schedule.coefficients.astype(np.float64))

    def loss(self, candidate: Candidate) -> float:
        """Mean square of how far the latent is off in the end."""
        schedule = candidate.schedule(self._card)
        levels = schedule.levels.astype(np.float64)
        places = [self._between(self._places, level) for level in levels]
        off, previous = np.zeros(len(self._products)), np.zeros(len(self._products))
        for run, rows in enumerate(schedule.rows):
            velocity = self._velocity(levels[run], is_guided=rows > 1)
            velocity += (1 - self._between(self._shares, levels[run])) / levels[run] * off
            _, b, c = schedule.coefficients[run].astype(np.float64)
            off = off + b * velocity + c * previous - (places[run + 1] - places[run])
            previous = velocity
        return max(float(off @ self._products @ off), 0.0)

    def _exact_places(self, coefficients: Floats) -> Floats:
        """How far the exact way has come at every level, as weights of its velocities."""
        places = np.zeros((self._steps + 1, len(self._products)))
        for step, (_, b, c) in enumerate(coefficients):
            places[step + 1] = places[step]
            places[step + 1, step] += b
            places[step + 1, max(step - 1, 0)] += c
        return places

    def _velocity(self, level: float, *, is_guided: bool) -> Floats:
        """The exact way's velocity at a level, as weights of those at its steps."""
        first = 0 if is_guided else self._unguided_at
        weights = np.zeros(len(self._products))
        place, share = self._place(level, self._steps - 1)
        weights[first + place] += 1 - share
        if share:
            weights[first + place + 1] += share
        return weights

    def _between(self, values: Floats, level: float) -> Floats:
        place, share = self._place(level, len(values) - 1)
        following = values[min(place + 1, len(values) - 1)]
        found: Floats = values[place] * (1 - share) + following * share
        return found

    def _place(self, level: float, last: int) -> tuple[int, float]:
        """The step at or before a level, up to a last one, and the share of the way to the next."""
        place = int(np.searchsorted(-self._levels[: last + 1], -level, side="right")) - 1
        if place >= last:
            return last, 0.0
        here, there = self._levels[place : place + 2]
        return place, float((here - level) / (here - there))


def _shares(trajectories: Sequence[Trajectory]) -> Floats:
    """The share of a change that passes the network at every step: seen at some, between them a line."""
    astray = np.sum([each.astray for each in trajectories], axis=0)
    answered = np.sum([each.answered for each in trajectories], axis=0)
    seen = np.flatnonzero(astray > 0)
    if not len(seen):
        return np.ones(len(astray))
    shares: Floats = np.interp(np.arange(len(astray)), seen, answered[seen] / astray[seen])
    return shares
