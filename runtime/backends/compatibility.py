"""Can a bundle's engines for one backend run on this machine? Known before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dit4sr.runtime.errors import IncompatibleError, MissingDependencyError

AUTO = "auto"
"""The name that asks for the best backend or device that fits."""
TRUST_THEM = "if you trust whoever made it, say --trust-engines (trust_engines=True in Python)"
"""The remedy for engines that were not built here."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that stands in the way, and what removes it."""

    what: str
    remedy: str
    is_missing: bool = False
    """True for a library or device that could be added."""


@dataclass(frozen=True)
class Compatibility:
    """How a bundle's engines for one backend fit this machine."""

    backend: str
    built_for: str
    running_on: str
    obstacle: str = ""
    remedy: str = ""
    is_missing: bool = False
    """True if the obstacle is a library or device that could be added."""
    is_withheld: bool = False
    """True if nothing was looked at, for nobody said that the bundle's code may run."""

    @classmethod
    def of(
        cls, backend: str, built_for: str, running_on: str, obstacles: Iterable[Obstacle]
    ) -> Compatibility:
        """The first of the obstacles to engines that are there; the others are not even looked for."""
        first = next(iter(obstacles), None)
        if first is None:
            return cls(backend, built_for, running_on)
        what = f"built for {built_for}, but {first.what}"
        return cls(backend, built_for, running_on, what, first.remedy, first.is_missing)

    @classmethod
    def without_engines(cls, backend: str) -> Compatibility:
        """What is said of a bundle that holds no engines for a backend."""
        remedy = f"build them with dit4sr-export --engine {backend}"
        return cls(backend, "", "", "the bundle holds no engines for it", remedy)

    @classmethod
    def withheld(cls, backend: str) -> Compatibility:
        """What is said of engines that were not built here, and that the user has not said to trust."""
        what = "the bundle brings compiled code that was not built here"
        return cls(backend, "", "", what, TRUST_THEM, is_withheld=True)

    @property
    def fits(self) -> bool:
        """True if nothing stands in the way."""
        return not self.obstacle

    @property
    def reason(self) -> str:
        """Why another backend was taken, in one line; with the remedy where a word of the user's is all."""
        way_out = f"; {self.remedy}" if self.is_withheld else ""
        return f"{self.backend} passed over: {self.obstacle}{way_out}"

    def error(self) -> Exception:
        """The error for a user who insists on this backend."""
        kind = MissingDependencyError if self.is_missing else IncompatibleError
        return kind(f"backend {self.backend}: {self.obstacle}", fix=self.remedy)


def rebuild(backend: str) -> str:
    """The remedy for engines that were built for something else."""
    return f"rebuild with dit4sr-export --engine {backend}, or use backend onnxruntime"
