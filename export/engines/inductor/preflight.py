"""Is everything here that compiling takes? Asked before the export begins."""

from __future__ import annotations

import os
import shutil

from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.verify import DTYPES
from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.inductor import CPU, NAME
from dit4sr.runtime.backends.inductor.compatibility import gpu_target
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError


def preflight(precision: str, config: InductorConfig) -> str:
    """The target to compile for, ``cpu`` or the GPU that is here; what cannot succeed is refused."""
    if precision not in DTYPES:
        raise BadInputError(f"a bundle in {precision}", expected=f"{', '.join(DTYPES)} for {NAME} engines")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise MissingDependencyError(
            f"no C++ compiler {compiler!r}, which {NAME} engines need",
            fix="install g++, or set CXX",
        )
    found = None if config.device == CPU else gpu_target()
    if found is None and (config.device != AUTO or config.architecture) and config.device != CPU:
        raise MissingDependencyError(
            f"no CUDA device here, and {NAME} engines are compiled where they run",
            fix="build on the machine with the GPU, or with --device cpu",
        )
    if config.architecture and found != f"sm_{config.architecture}":
        raise IncompatibleError(
            f"this machine compiles for {found or CPU}",
            expected=f"sm_{config.architecture}",
            fix="build on a machine with that GPU",
        )
    return found or CPU
