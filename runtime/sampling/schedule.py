"""The steps of a run, and the guard that watches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Engine
from dit4sr.runtime.bundles.manifest import Component
from dit4sr.runtime.errors import BadInputError, IncompatibleError
from dit4sr.runtime.extremes import Extremes
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.noise_levels import TRAINING_STEPS, noise_levels
from dit4sr.runtime.sampling.solver import Solver, Velocity, written

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SamplingSchedule:
    """The runs of the network from noise to a latent: where, on which branches, and the update after each.

    Steps that use a velocity again are in the updates; there is nothing left of them to be run.
    """

    levels: Floats
    """The noise levels at which the network runs, and the one at which the last update ends."""
    coefficients: Floats
    """The update after each run, ``(a, b, c)``."""
    guidance: Guidance
    velocities: tuple[Velocity, ...]
    """Where the velocity of every step comes from, of those without a run as well."""

    @classmethod
    def of(
        cls,
        steps: int,
        shift: float,
        solver: Solver,
        guidance: Guidance,
        velocities: Sequence[Velocity] | None = None,
    ) -> SamplingSchedule:
        """Make the released schedule for some steps and a solver; its velocities may come from elsewhere.

        A step that asks to be guided is guided where guidance is on.
        """
        levels = noise_levels(steps, shift)
        if velocities is not None and len(velocities) != steps:
            raise BadInputError(f"velocities for {len(velocities)} steps", expected=f"for {steps}")
        asked = velocities or [Velocity.GUIDED] * steps
        known = tuple(
            Velocity.UNGUIDED
            if velocity is Velocity.GUIDED and not guidance.is_on(float(level))
            else velocity
            for velocity, level in zip(asked, levels, strict=False)
        )
        runs = [step for step, velocity in enumerate(known) if velocity.is_run]
        return cls(levels[[*runs, steps]], solver.coefficients(levels, known), guidance, known)

    @property
    def steps(self) -> int:
        """How many times the network runs."""
        return len(self.coefficients)

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of every run, for a picture of one tile."""
        return tuple(velocity.rows for velocity in self.velocities if velocity.is_run)

    @property
    def timesteps(self) -> Floats:
        """The noise levels as the network reads them, 1000 for pure noise."""
        timesteps: Floats = self.levels[:-1] * np.float32(TRAINING_STEPS)
        return timesteps

    @property
    def branches(self) -> int:
        """Rows for each picture: two if any step is guided, else one."""
        return max(self.rows)

    def weights(self, step: Engine | Component) -> list[Floats]:
        """The branches' weights at every run, as the engine wants them.

        An engine whose branches are fixed evaluates both even where the positive stands alone.
        """
        [branches] = [spec.shape[0] for spec in step.inputs if spec.name == "guidance"]
        if isinstance(branches, int) and branches != self.branches:
            raise IncompatibleError(
                f"this bundle's step is fixed to {branches} branches",
                expected=f"{self.branches}, for guidance {self.guidance.scale:g}",
                fix="change --guidance, or export without --static",
            )
        weights = [self.guidance.weights(is_on=rows > 1) for rows in self.rows]
        if isinstance(branches, int):
            weights = [np.pad(each, (branches - len(each), 0)) for each in weights]
        return weights

    def to_json(self) -> dict[str, Any]:
        """Plain values: every step's velocity, and the runs that are left with their rows and levels."""
        return {
            "velocities": written(self.velocities),
            "runs": self.steps,
            "rows": sum(self.rows),
            "levels": [round(float(level), 6) for level in self.levels],
        }

    def check(self, latent: Floats, step: int) -> None:
        """Refuse a latent that is not finite, or constant, which noise never becomes by itself."""
        where = f"after step {step + 1} of {self.steps}, at noise level {self.levels[step]:.4f}"
        extremes = Extremes("the latent")
        extremes.include(latent, where)
        extremes.refuse_constant(where)
