"""Which backend runs a bundle on this machine, and why better ones do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError

AUTO = "auto"


@dataclass(frozen=True)
class Compatibility:
    """Whether a bundle's engines for one backend run here, known before anything is loaded."""

    backend: str
    built_for: str
    running_on: str
    obstacle: str = ""
    remedy: str = ""
    is_missing: bool = False
    """The obstacle is a library or device that could be added."""

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacle

    def error(self) -> Exception:
        """What to raise when a user insists on this backend."""
        kind = MissingDependencyError if self.is_missing else IncompatibleError
        return kind(f"backend {self.backend}: {self.obstacle}", fix=self.remedy)


@dataclass(frozen=True)
class Choice:
    """The backend taken, and why those preferred to it were not."""

    backend: Backend
    passed_over: tuple[Compatibility, ...] = ()

    def reasons(self) -> list[str]:
        """One line for each backend that was passed over."""
        return [f"{fit.backend} passed over: {fit.obstacle}" for fit in self.passed_over]


@dataclass(frozen=True)
class Candidate:
    """A backend that could be taken."""

    fit: Compatibility
    open: Callable[[], Backend]
    """Called only if it fits."""


def candidates(bundle: Bundle, device: str, threads: int, *, frugal: bool = False) -> list[Candidate]:
    """Every backend, best first."""
    # These imports wait, because it is this module that the backends describe themselves with.
    from dit4sr.runtime.backends.inductor import backend as inductor  # noqa: PLC0415
    from dit4sr.runtime.backends.inductor import packages  # noqa: PLC0415
    from dit4sr.runtime.backends.onnxruntime import backend as onnxruntime  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt import backend as tensorrt  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt import compatibility as plans  # noqa: PLC0415

    return [
        Candidate(plans.compatibility(bundle, device), tensorrt.TensorRt),
        Candidate(
            packages.compatibility(bundle, device), lambda: inductor.Inductor.of(bundle, device, threads)
        ),
        Candidate(
            onnxruntime.compatibility(device),
            lambda: onnxruntime.OnnxRuntime(device, threads, frugal=frugal),
        ),
    ]


def choose(
    bundle: Bundle, name: str = AUTO, *, device: str = AUTO, threads: int = 0, frugal: bool = False
) -> Choice:
    """Open the best backend that this bundle and machine allow, or the one that is asked for."""
    known = candidates(bundle, device, threads, frugal=frugal)
    names = [candidate.fit.backend for candidate in known]
    if name not in {AUTO, *names}:
        raise BadInputError(f"no backend {name!r}", expected=", ".join([AUTO, *names]))

    passed_over = []
    for candidate in known:
        fit = candidate.fit
        if name == AUTO and not fit.fits:
            passed_over.append(fit)
        elif name in {AUTO, fit.backend}:
            if not fit.fits:
                raise fit.error()
            return Choice(candidate.open(), tuple(passed_over))
    raise passed_over[-1].error()
