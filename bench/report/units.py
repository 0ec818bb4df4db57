"""Numbers for people: three digits in the unit that suits them."""

from __future__ import annotations


def format_seconds(seconds: float) -> str:
    """A duration with its unit."""
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def format_rate(flops: float) -> str:
    """Floating-point operations per second, with their unit."""
    return f"{flops / 1e12:.3g} TFLOP/s" if flops >= 1e12 else f"{flops / 1e9:.3g} GFLOP/s"


def format_flops(flops: float) -> str:
    """A number of floating-point operations, with its unit."""
    return f"{flops / 1e12:.4g} TFLOP" if flops >= 1e12 else f"{flops / 1e9:.3g} GFLOP"
