"""The libraries that are installed, by their records: nothing is imported to ask for its version."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Sequence

from dit4sr.runtime.backends.tensorrt.machine import DISTRIBUTIONS as TENSORRT
from dit4sr.runtime.backends.tensorrt_rtx.machine import DISTRIBUTIONS as TENSORRT_RTX

OF_THE_RUNTIME = (
    *(
        "dit4sr",
        "numpy",
        "pillow",
        "click",
        "tokenizers",
        "onnxruntime",
        "onnxruntime-gpu",
        "torch",
        "triton",
    ),
    *(*TENSORRT, *TENSORRT_RTX, "cuda-bindings"),
)


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of those of some distributions that are installed; either of two may bring the same module."""
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def runtime_versions() -> dict[str, str]:
    """Versions of Python and of all that the runtime stands on, or could."""
    return {"python": platform.python_version(), **installed_versions(OF_THE_RUNTIME)}
