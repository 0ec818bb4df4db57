"""Photos in, photos out, from a bundle and without PyTorch in the process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dit4sr.runtime.image.restored import Restored
    from dit4sr.runtime.settings import Settings
    from dit4sr.runtime.upscaler import Upscaler

# From 1.29 on, ONNX Runtime tells its maker of every session, unless this was said before it is imported.
# Nobody who restores a photo has asked for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Restored", "Settings", "Upscaler"]

_HOMES = {
    "Restored": "dit4sr.runtime.image.restored",
    "Settings": "dit4sr.runtime.settings",
    "Upscaler": "dit4sr.runtime.upscaler",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the exporter and the commands' ``--help`` need no Pillow."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # importlib alone costs less than what it would bring in.
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_HOMES[name]), name)
