"""A schedule that is tried: a solver, and where the velocity of every step comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver, read_velocities
from dit4sr.runtime.settings import Settings

FEWER, UNGUIDED, REUSE = "fewer steps", "fewer guided steps", "velocities used again"


@dataclass(frozen=True)
class Candidate:
    """One schedule, by what a user would have to say for it."""

    solver: Solver
    velocities: str
    guidance: float
    family: str = field(default="", compare=False)
    """What it is tried as; the same schedule may come from several families."""

    @property
    def steps(self) -> int:
        """Steps of the schedule, with or without a run."""
        return len(self.velocities)

    @property
    def rows(self) -> int:
        """Rows that the network computes for a picture of one tile, which is what it costs."""
        return sum(velocity.rows for velocity in read_velocities(self.velocities))

    @property
    def key(self) -> str:
        """What tells it from others in a file."""
        return f"{self.solver.value} {self.velocities}"

    def settings(self) -> Settings:
        """The settings of its pictures."""
        return Settings(solver=self.solver, velocities=self.velocities, guidance=self.guidance)

    def schedule(self, card: ModelCard) -> SamplingSchedule:
        """The runs that it comes to."""
        return SamplingSchedule.of(
            self.steps,
            card.schedule_shift,
            self.solver,
            Guidance(self.guidance),
            read_velocities(self.velocities),
        )


def whole_letter(guidance: float) -> str:
    """The letter of a step that does all there is to do."""
    return "g" if guidance > 1 else "u"


def fewer_steps(steps: int, solver: Solver, guidance: float, family: str = FEWER) -> Candidate:
    """The schedule that anybody would take who wants it cheaper: so many steps, each of them whole."""
    return Candidate(solver, whole_letter(guidance) * steps, guidance, family)
