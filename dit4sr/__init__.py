"""Restores and enlarges real-world photos with DiT4SR, without PyTorch.

    import dit4sr

    with dit4sr.Upscaler() as upscaler:  # the small model in the box; Upscaler("my-bundle") opens another
        restored = upscaler("photo.jpg", steps=4, solver="dpmpp-2m")
        restored.save("restored.png")
        print(restored.seed, restored.seconds, restored.warnings)

A picture is a path, a Pillow image, an array, or a list of these. What comes back has an ``image`` for Pillow
and a ``picture`` for NumPy: grey if the input was, with its transparency, colour profile and EXIF, and of 16
bits where it had more than 8. ``Settings`` lists what there is to choose; each of its fields is a keyword.

What goes wrong and can be mended is a ``dit4sr.errors.Dit4srError`` of one line: what was found, what was
expected, what to do. The commands are ``dit4sr-upscale``, ``dit4sr-export``, ``dit4sr-calibrate`` and
``dit4sr-bench``, and ``dit4sr`` for what belongs to all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dit4sr.runtime import Restored, Settings, Upscaler, errors

    __version__: str

__all__ = ["Restored", "Settings", "Upscaler", "__version__", "errors"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the parts of the package that need none of them stay light."""
    # importlib alone costs less than what it would bring in.
    import importlib  # noqa: PLC0415

    if name == "__version__":
        return importlib.import_module("dit4sr.runtime.console.version").version()
    if name == "errors":
        return importlib.import_module("dit4sr.runtime.errors")
    if name in __all__:
        return getattr(importlib.import_module("dit4sr.runtime"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, whether it has been used or not; ``help`` lists it."""
    return sorted({*globals(), *__all__})
