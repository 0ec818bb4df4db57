"""The recipes that a study compares, by what its table calls them."""

from __future__ import annotations

from dit4sr.calibrate.config import Recipe
from dit4sr.calibrate.scales.formats import FP8, INT8

EARLY, TWO_SETS = "amax of the early steps only", "two sets, switched at step {}"


def recipes(steps: int) -> dict[str, Recipe]:
    """Every way of choosing scales, for a schedule of so many steps."""
    half = steps // 2
    ways: dict[str, Recipe] = {}
    for format_, name in ((FP8, "FP8"), (INT8, "INT8")):
        for per_channel, weight in ((False, "one scale per weight"), (True, "one per output")):
            for method in ("amax", "percentile", "mse"):
                ways[f"{name}, {method}, {weight}"] = Recipe(format_, method, per_channel)
            ways[f"{name}, SmoothQuant, {weight}"] = Recipe(format_, "amax", per_channel, smooth=True)
        if half:
            ways[f"{name}, {EARLY}"] = Recipe(format_, "amax", True, last_step=half)
            ways[f"{name}, amax of the late steps only"] = Recipe(format_, "amax", True, first_step=half)
            ways[f"{name}, {TWO_SETS.format(half + 1)}"] = Recipe(format_, "amax", True, switch_at=half)
    return ways
