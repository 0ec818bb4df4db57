"""Is ONNX Runtime here, and does it reach the device? It runs any bundle's graphs as they are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility, Obstacle
from dit4sr.runtime.backends.onnxruntime import NAME
from dit4sr.runtime.errors import BadInputError

CPU, CUDA = "cpu", "cuda"
PROVIDERS = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider"}

INSTALL = "pip install 'dit4sr[cpu]', or 'dit4sr[gpu]' for an NVIDIA GPU"
"""The base asks for neither: two distributions provide this one module, and only one of them may be there."""
REPLACE_BY_CUDA = (
    "pip uninstall onnxruntime, then pip install --force-reinstall onnxruntime-gpu, "
    "for one hides the other; or leave --device at auto"
)
_BUILT_FOR = "any machine"


def compatibility(device: str = AUTO) -> Compatibility:
    """What stands in the way of running any bundle on a device."""
    if device not in {AUTO, *PROVIDERS}:
        raise BadInputError(f"no device {device!r}", expected=", ".join([AUTO, *PROVIDERS]))
    first = next(absences(device), None)
    if first is None:
        return Compatibility(NAME, _BUILT_FOR, device)
    here = CPU if _is_installed() else "no onnxruntime"
    return Compatibility(NAME, _BUILT_FOR, here, first.what, first.remedy, first.is_missing)


def absences(device: str = AUTO) -> Iterator[Obstacle]:
    """What this machine lacks to run any bundle on a device."""
    if not _is_installed():
        yield Obstacle("onnxruntime is not installed", INSTALL, is_missing=True)
    elif device == CUDA and not has_cuda():
        yield Obstacle("this onnxruntime reaches no CUDA device", REPLACE_BY_CUDA, is_missing=True)


def has_cuda() -> bool:
    """True if the library that is installed reaches CUDA devices."""
    import onnxruntime  # noqa: PLC0415 - costs a third of a second, and only if used

    return PROVIDERS[CUDA] in onnxruntime.get_available_providers()


def _is_installed() -> bool:
    """True if the module is whole: where two distributions shared its folder, removing one empties it."""
    found = importlib.util.find_spec("onnxruntime")
    return found is not None and found.origin is not None
