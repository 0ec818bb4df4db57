"""Settings say what is wrong with them when they are made, before a picture is read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from support.runtime_system import CARD

from dit4sr.runtime import Settings
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.solver import Solver, written

HUGE = 10**400
FAST = Preset("fast", 6, "ab2", 2.5, "gguhhu")
MEASURED = replace(CARD, presets=(FAST, Preset("exact", 6, "euler", 2.5, "gggggg")))


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


def test_a_preset_is_what_is_not_chosen():
    known = Settings(preset="fast").resolved(MEASURED)
    assert (known.steps, known.solver, known.guidance, known.velocities) == (6, Solver.AB2, 2.5, "gguhhu")
    assert known.resolved(MEASURED) == known
    assert written(Settings(preset="fast").schedule(MEASURED).velocities) == "gguhhu"


@pytest.mark.parametrize(
    ("choices", "velocities"),
    [
        ({"steps": 3}, "ggg"),
        ({"steps": 6}, "gguhhu"),
        ({"solver": "euler"}, "gguhhu"),
        ({"guidance": 1.0}, "uuuhhu"),
        ({"guidance_interval": (0.0, 0.95)}, "uguhhu"),
        ({"velocities": "ghh"}, "ghh"),
    ],
)
def test_what_is_chosen_goes_before_the_preset(choices, velocities):
    settings = Settings(preset="fast", **choices)
    known = settings.resolved(MEASURED)
    for name, value in choices.items():
        chosen = getattr(known, name)
        assert (chosen.value if isinstance(chosen, Solver) else chosen) == value
    assert written(settings.schedule(MEASURED).velocities) == velocities


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (MEASURED, "no preset 'fasd'; expected fast or exact; did you mean fast?"),
        (CARD, "no preset 'fasd': this bundle has none; find its presets with dit4sr-calibrate"),
    ],
)
def test_a_preset_that_is_not_there_is_refused_in_one_line(card, words):
    with pytest.raises(BadInputError) as caught:
        Settings(preset="fasd").resolved(card)
    assert str(caught.value).startswith(words)


def test_velocities_for_other_steps_are_refused():
    with pytest.raises(BadInputError, match="velocities for 2 steps; expected for 3"):
        Settings(steps=3, velocities="gg").schedule(CARD)
    with pytest.raises(BadInputError, match="g or u first"):
        Settings(velocities="hg")
