"""The steps of a run, and the guard that watches them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Engine
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.extremes import Extremes
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.noise_levels import TRAINING_STEPS, noise_levels
from dit4sr.runtime.sampling.solver import Solver

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SamplingSchedule:
    """Noise levels, what the solver does between them, and which steps are guided."""

    levels: Floats
    coefficients: Floats
    guidance: Guidance

    @classmethod
    def of(cls, steps: int, shift: float, solver: Solver, guidance: Guidance) -> SamplingSchedule:
        """Make the released schedule for some steps and a solver."""
        levels = noise_levels(steps, shift)
        return cls(levels, solver.coefficients(levels), guidance)

    @property
    def steps(self) -> int:
        """How many steps the schedule has."""
        return len(self.coefficients)

    @property
    def timesteps(self) -> Floats:
        """The noise levels as the network reads them, 1000 for pure noise."""
        timesteps: Floats = self.levels[:-1] * np.float32(TRAINING_STEPS)
        return timesteps

    @property
    def branches(self) -> int:
        """Rows for each picture: two if any step is guided, else one."""
        return 2 if any(self.guidance.is_on(float(level)) for level in self.levels[:-1]) else 1

    def weights(self, step: Engine) -> list[Floats]:
        """The branches' weights at every step, as the engine wants them.

        An engine whose branches are fixed evaluates both even where the positive stands alone.
        """
        [branches] = [spec.shape[0] for spec in step.inputs if spec.name == "guidance"]
        if isinstance(branches, int) and branches != self.branches:
            raise IncompatibleError(
                f"this bundle's step is fixed to {branches} branches",
                expected=f"{self.branches}, for guidance {self.guidance.scale:g}",
                fix="change --guidance, or export without --static",
            )
        weights = [self.guidance.weights(float(level)) for level in self.levels[:-1]]
        if isinstance(branches, int):
            weights = [np.pad(each, (branches - len(each), 0)) for each in weights]
        return weights

    def check(self, latent: Floats, step: int) -> None:
        """Refuse a latent that is not finite, or constant, which noise never becomes by itself."""
        where = f"after step {step + 1} of {self.steps}, at noise level {self.levels[step]:.4f}"
        extremes = Extremes("the latent")
        extremes.include(latent, where)
        extremes.refuse_constant(where)
