"""Which backend runs a bundle on this machine, and why better ones do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility
from dit4sr.runtime.backends.inductor import compatibility as inductor
from dit4sr.runtime.backends.onnxruntime import compatibility as onnxruntime
from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.backends.tensorrt import compatibility as tensorrt
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError

# A backend is imported when it is opened: a process runs one of them, and importing the runtime stays cheap.
# ruff: noqa: PLC0415


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

    def open_tensorrt() -> Backend:
        from dit4sr.runtime.backends.tensorrt.backend import TensorRt

        return TensorRt()

    def open_inductor() -> Backend:
        from dit4sr.runtime.backends.inductor.backend import Inductor

        return Inductor(inductor.chosen_target(bundle, device), threads)

    def open_onnxruntime() -> Backend:
        from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime

        return OnnxRuntime(device, threads, frugal=frugal)

    return [
        Candidate(tensorrt.compatibility(bundle, device), open_tensorrt),
        Candidate(inductor.compatibility(bundle, device), open_inductor),
        Candidate(onnxruntime.compatibility(device), open_onnxruntime),
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
