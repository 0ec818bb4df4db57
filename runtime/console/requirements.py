"""What a command needs installed, asked before it begins rather than in the middle."""

from __future__ import annotations

import importlib.util

from dit4sr.runtime.errors import MissingDependencyError


def require(*modules: str, extra: str) -> None:
    """Refuse to begin without these modules, all of which one extra brings."""
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise MissingDependencyError(
            f"not installed: {', '.join(missing)}", fix=f"pip install 'dit4sr[{extra}]'"
        )


def require_onnxruntime() -> None:
    """Refuse to begin without ONNX Runtime, which either of two extras brings."""
    from dit4sr.runtime.backends.onnxruntime.compatibility import compatibility  # noqa: PLC0415

    fit = compatibility()
    if not fit.fits:
        raise fit.error()
