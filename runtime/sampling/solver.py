"""Where each step's velocity comes from, and how the loop goes on with it, as three numbers for each run.

Every solver here is ``next = a·latent + b·velocity + c·previous velocity``, so an engine that computes that
form runs them all. The latent moves along dx/dσ = v, and a step that uses velocities again is linear in the
same two: it is added to the coefficients of the run before it, and never made by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import BadInputError

Levels = NDArray[np.floating]


class Velocity(Enum):
    """Where one step's velocity comes from, by the letter that is written for it.

    A schedule is written as one letter for each step, such as ``ggguuhxu``; the first step runs the network.
    """

    GUIDED = "g"
    """A run of the network on both branches."""
    UNGUIDED = "u"
    """A run on the positive branch alone, which is half the rows."""
    HELD = "h"
    """No run: the velocity of the last one."""
    EXTRAPOLATED = "x"
    """No run: the line through the velocities of the last two; held as long as there is but one."""

    @property
    def rows(self) -> int:
        """Rows that the network computes for a picture of one tile."""
        return {Velocity.GUIDED: 2, Velocity.UNGUIDED: 1}.get(self, 0)

    @property
    def is_run(self) -> bool:
        """True if the network runs at this step."""
        return self.rows > 0


def read_velocities(letters: str) -> tuple[Velocity, ...]:
    """The velocities that letters stand for; refuses what no loop could do."""
    known = {velocity.value: velocity for velocity in Velocity}
    if not isinstance(letters, str) or not letters or not known.keys() >= set(letters):
        raise BadInputError(
            f"velocities {str(letters)[:40]!r}", expected=f"a letter for each step, of {', '.join(known)}"
        )
    velocities = tuple(known[letter] for letter in letters)
    if not velocities[0].is_run:
        raise BadInputError(
            f"velocities {letters[:40]!r}", expected="g or u first: there is nothing yet to use again"
        )
    return velocities


def written(velocities: Sequence[Velocity]) -> str:
    """The letters that stand for velocities."""
    return "".join(velocity.value for velocity in velocities)


class Solver(Enum):
    """The solvers by the name that a user types.

    Euler takes the velocity at the beginning of a step. The others take the middle of a line through the
    last two: Adams-Bashforth's is a line in σ. DPM-Solver++(2M)'s is one of the denoised picture in
    λ = log((1-σ)/σ); its previous picture is taken at the current latent, x - σ·v_prev. That differs from the
    remembered one by O(h²), which keeps the order, and frees the step from remembering a third tensor. The
    step then has Adams-Bashforth's form with steps measured in λ. Both ends of the schedule lie at infinity:
    the step from pure noise is not remembered, and the one onto the clean picture does not remember.
    """

    EULER = "euler"
    AB2 = "ab2"
    DPMPP_2M = "dpmpp-2m"

    def coefficients(
        self, levels: Levels, velocities: Sequence[Velocity] | None = None
    ) -> NDArray[np.float32]:
        """Rows ``(a, b, c)``, one for each run of the network; it runs at every step unless told otherwise.

        They are added up in double precision, and rounded once.
        """
        exact = levels.astype(np.float64)
        clock = self._clock(exact)
        rows: list[list[float]] = []
        last, before = 0, -1  # the steps of the last run, and of the one before
        for step, stride in enumerate(np.diff(exact)):
            velocity = velocities[step] if velocities else Velocity.UNGUIDED
            if velocity.is_run:
                before, last = (last, step) if rows else (-1, step)
                rows.append([1.0, 0.0, 0.0])
            draws_line = before >= 0 and velocity is not Velocity.HELD
            reach = self._reach(clock, before, last, step) if draws_line else 0.0
            rows[-1][1] += stride * (1 + reach)
            rows[-1][2] -= stride * reach
        return np.array(rows, dtype=np.float32)

    def _clock(self, levels: Levels) -> Levels:
        """What the velocity is a line in, at every level."""
        if self is not Solver.DPMPP_2M:
            return levels
        with np.errstate(divide="ignore"):
            clock: Levels = np.log1p(-levels) - np.log(levels)
        return clock

    def _reach(self, clock: Levels, before: int, last: int, step: int) -> float:
        """How far beyond the last run a step looks along the line, in spans between the last two runs."""
        ahead = clock[step] - clock[last]
        if self is not Solver.EULER:
            ahead += (clock[step + 1] - clock[step]) / 2
        span = clock[last] - clock[before]
        return float(ahead / span) if np.isfinite(ahead) and np.isfinite(span) else 0.0
