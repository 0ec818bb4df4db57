"""The runtime's own loop in ONNX Runtime, with hooks on some of its components."""

from __future__ import annotations

from collections.abc import Mapping

from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tap import Hook, TappedBackend
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.upscaler import Upscaler

_SMALL = 1 << 30


def fits_in_memory(bundle: Bundle) -> bool:
    """True if all components can be open together; of a large bundle one at a time has to do."""
    return sum(record.bytes for record in bundle.manifest.files()) < _SMALL


def tapped_upscaler(
    bundle: Bundle,
    hooks: Mapping[str, Hook],
    *,
    threads: int = 0,
    keep_components: bool,
    frugal: bool = False,
) -> Upscaler:
    """An open Upscaler whose hooks see what their components make, run after run."""
    backend = TappedBackend(OnnxRuntime(threads=threads, frugal=frugal), hooks)
    return Upscaler(bundle, backend=backend, keep_components=keep_components)
