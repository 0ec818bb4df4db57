"""Which backend runs a bundle on this machine, and why better ones do not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility
from dit4sr.runtime.backends.inductor import NAME as INDUCTOR
from dit4sr.runtime.backends.inductor import compatibility as inductor
from dit4sr.runtime.backends.onnxruntime import NAME as ONNXRUNTIME
from dit4sr.runtime.backends.onnxruntime import compatibility as onnxruntime
from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.backends.tensorrt import NAME as TENSORRT
from dit4sr.runtime.backends.tensorrt import compatibility as tensorrt
from dit4sr.runtime.backends.tensorrt_rtx import NAME as TENSORRT_RTX
from dit4sr.runtime.backends.tensorrt_rtx import compatibility as tensorrt_rtx
from dit4sr.runtime.backends.tensorrt_rtx.machine import MODULES as RTX_MODULES
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError

# A backend is imported when it is opened: a process runs one of them, and importing the runtime stays cheap.
# ruff: noqa: PLC0415


@dataclass(frozen=True)
class Choice:
    """The backend taken, and why those preferred to it were not."""

    backend: Backend
    passed_over: tuple[Compatibility, ...] = ()
    notices: tuple[str, ...] = ()
    """Those of the reasons that a user should hear unasked: better engines that wait for a word."""

    def reasons(self) -> list[str]:
        """One line for each backend that was passed over."""
        return [fit.reason for fit in self.passed_over]


@dataclass(frozen=True)
class Candidate:
    """A backend that could be taken."""

    name: str
    libraries: tuple[str, ...]
    """Modules that it runs on: any of them will do."""
    has_withheld: bool
    """True if the bundle has more code for it, which may not run."""
    examine: Callable[[], Compatibility]
    """Looks at the engines that may run and, if there are any, at the machine and the library."""
    open: Callable[[], Backend]
    """Called only if it fits."""

    @cached_property
    def fit(self) -> Compatibility:
        """How it fits. If nothing that may run does, and there is more, it is a word that is missing."""
        fit = self.examine()
        is_for_want_of_a_word = self.has_withheld and not fit.fits and not fit.is_missing
        return Compatibility.withheld(self.name) if is_for_want_of_a_word else fit

    @property
    def is_installed(self) -> bool:
        """True if its library is here; whether it works, only looking closer tells."""
        return any(importlib.util.find_spec(library) is not None for library in self.libraries)


def candidates(bundle: Bundle, device: str, threads: int, *, frugal: bool = False) -> list[Candidate]:
    """Every backend, best first. They see the engines that may run, `Bundle.engines`, and no others."""

    def open_tensorrt() -> Backend:
        from dit4sr.runtime.backends.tensorrt.backend import TensorRt

        return TensorRt()

    def open_tensorrt_rtx() -> Backend:
        from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx

        return TensorRtx()

    def open_inductor() -> Backend:
        from dit4sr.runtime.backends.inductor.backend import Inductor

        return Inductor(inductor.chosen_target(bundle, device), threads)

    def open_onnxruntime() -> Backend:
        from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime

        return OnnxRuntime(device, threads, frugal=frugal)

    graphs = onnxruntime.compatibility(device)
    return [
        Candidate(
            TENSORRT,
            ("tensorrt",),
            bundle.withholds_engines(TENSORRT),
            lambda: tensorrt.compatibility(bundle, device),
            open_tensorrt,
        ),
        Candidate(
            TENSORRT_RTX,
            RTX_MODULES,
            bundle.withholds_engines(TENSORRT_RTX),
            lambda: tensorrt_rtx.compatibility(bundle, device),
            open_tensorrt_rtx,
        ),
        Candidate(
            INDUCTOR,
            ("torch",),
            bundle.withholds_engines(INDUCTOR),
            lambda: inductor.compatibility(bundle, device),
            open_inductor,
        ),
        # It runs the graphs, which are data.
        Candidate(
            ONNXRUNTIME, ("onnxruntime",), has_withheld=False, examine=lambda: graphs, open=open_onnxruntime
        ),
    ]


def choose(
    bundle: Bundle, name: str = AUTO, *, device: str = AUTO, threads: int = 0, frugal: bool = False
) -> Choice:
    """Open the best backend that this bundle and machine allow, or the one that is asked for."""
    known = candidates(bundle, device, threads, frugal=frugal)
    names = [candidate.name for candidate in known]
    if name not in {AUTO, *names}:
        raise BadInputError(f"no backend {name!r}", expected=", ".join([AUTO, *names]))

    passed_over: list[Compatibility] = []
    notices: list[str] = []
    for candidate in known:
        if name not in {AUTO, candidate.name}:
            continue
        fit = candidate.fit
        if fit.fits:
            return Choice(candidate.open(), tuple(passed_over), tuple(notices))
        passed_over.append(fit)
        if fit.is_withheld and candidate.is_installed:
            notices.append(fit.reason)
    raise passed_over[-1].error()
