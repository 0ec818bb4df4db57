"""Settings say what is wrong with them when they are made, before a picture is read."""

from __future__ import annotations

import math

import pytest

from dit4sr.runtime import Settings
from dit4sr.runtime.errors import BadInputError

HUGE = 10**400


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("scale", [0.0, -4.0, 0.001, 17.0, math.nan, math.inf, -math.inf, HUGE]),
        ("steps", [0, -1, 1001, HUGE]),
        ("guidance", [0.0, -1.0, 1001.0, 1e308, math.nan, math.inf]),
        ("guidance_interval", [(0.9, 0.1), (-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0), (0.0, math.inf)]),
        ("tile_batch", [0, -1, 4097, HUGE]),
        ("most_pixels", [0, -1]),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(field, values):
    for value in values:
        with pytest.raises(BadInputError, match="expected"):
            Settings(**{field: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": 0.0625},
        {"scale": 16},
        {"steps": 1},
        {"steps": 1000},
        {"guidance": 1},
        {"guidance": 1000.0},
        {"guidance_interval": (0, 1)},
        {"tile_batch": 4096},
        {"most_pixels": 1},
    ],
)
def test_numbers_at_their_limits_are_taken(settings):
    Settings(**settings)
