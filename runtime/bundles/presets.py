"""Presets: ways to sample one network that have names, each with what it was found to cost and to lose."""

from __future__ import annotations

from dataclasses import dataclass

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.solver import Solver, read_velocities

MOST_STEPS = 1000
LONGEST_NAME = 40


@dataclass(frozen=True)
class Loss:
    """What a preset was found to lose, over photos that it was not chosen by."""

    photos: int
    psnr: float | None
    """Mean PSNR (RGB) to the pictures of the preset that all are held against; None for that one itself."""
    worst_psnr: float | None
    """Of the photo that fares worst."""
    drop: float | None
    """Decibels of PSNR (RGB) that the mean against the truth lost; None where no photo has a truth."""


@dataclass(frozen=True)
class Preset:
    """One way to sample: steps, solver and guidance as a user would set them, and every step's velocity."""

    name: str
    steps: int
    solver: str
    guidance: float
    velocities: str
    """A letter for each step, `dit4sr.runtime.sampling.solver`."""
    loss: Loss | None = None
    """None where nobody has measured it."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= LONGEST_NAME:
            raise ValueError(f"a preset's name has {len(self.name)} characters, not 1 to {LONGEST_NAME}")
        if not 1 <= self.steps <= MOST_STEPS or len(self.velocities) != self.steps:
            raise ValueError(f"preset {self.name} has not a velocity for each of {self.steps} steps")
        if self.solver not in {solver.value for solver in Solver}:
            raise ValueError(f"preset {self.name} has the solver {self.solver[:40]!r}")
        try:
            Guidance(self.guidance)
            read_velocities(self.velocities)
        except BadInputError as error:
            raise ValueError(f"preset {self.name} has {error}") from None

    @property
    def rows(self) -> int:
        """Rows that the network computes for a picture of one tile: what a preset costs, to the machine."""
        return sum(velocity.rows for velocity in read_velocities(self.velocities))
