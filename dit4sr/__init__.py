"""Restores and enlarges real-world photos with DiT4SR, without PyTorch.

Here is what most people need; each name is imported when it is first used. The commands are
``dit4sr-upscale``, ``dit4sr-export``, ``dit4sr-calibrate``, ``dit4sr-bench``, and ``dit4sr`` for what belongs
to all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dit4sr.runtime import Settings, Upscaler, errors

    __version__: str

__all__ = ["Settings", "Upscaler", "__version__", "errors"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the parts of the package that need none of them stay light."""
    # importlib alone costs less than what it would bring in.
    import importlib  # noqa: PLC0415

    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("dit4sr")
    if name == "errors":
        return importlib.import_module("dit4sr.runtime.errors")
    if name in __all__:
        return getattr(importlib.import_module("dit4sr.runtime"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, whether it has been used or not; ``help`` lists it."""
    return sorted({*globals(), *__all__})
