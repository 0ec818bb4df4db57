"""Words for members of enumerations, and keywords, as people type them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runtime_system import CARD

from dit4sr.runtime import Settings
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.noise.streams import Rng
from dit4sr.runtime.sampling.solver import Solver


def test_a_word_is_its_member():
    settings = Settings(solver="dpmpp-2m", rng="numpy", colour="wavelet")
    assert (settings.solver, settings.rng, settings.colour) == (Solver.DPMPP_2M, Rng.NUMPY, ColourFix.WAVELET)
    assert settings == Settings(solver=Solver.DPMPP_2M, rng=Rng.NUMPY, colour=ColourFix.WAVELET)
    assert replace(settings, solver="AB2").solver is Solver.AB2
    assert hash(settings) == hash(replace(settings))
    assert Settings(solver="DPMPP_2M").solver is Solver.DPMPP_2M
    assert Settings().solver is None
    assert Settings().resolved(CARD).solver is Solver.EULER


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"solver": "dpmpp"}, "solver 'dpmpp'; expected euler, ab2 or dpmpp-2m; did you mean dpmpp-2m?"),
        ({"solver": 3}, "solver 3; expected euler, ab2 or dpmpp-2m"),
        ({"rng": None}, "rng None; expected torch-cpu, torch-cuda or numpy"),
        ({"colour": "blue"}, "colour 'blue'; expected adain, wavelet or none"),
        ({"steps": "20"}, "20 steps; expected a whole number, 1 to 1000"),
        ({"steps": 2.5}, "2.5 steps; expected a whole number, 1 to 1000"),
        ({"steps": 0}, "0 steps"),
        ({"tile": 0}, "tiles of 0 pixels"),
        ({"overlap": -1}, "tiles that share -1 pixels"),
        ({"tile_batch": "many"}, "a batch of many tiles"),
        ({"most_pixels": 0}, "0 pixels at most"),
        ({"scale": "4"}, "scale 4; expected a number from 0.0625 to 16"),
        ({"scale": float("nan")}, "scale nan"),
        ({"guidance": "much"}, "guidance scale much"),
        ({"guidance": 0.5}, "guidance scale 0.5"),
        ({"guidance_interval": 0.5}, "guidance interval 0.5"),
        ({"guidance_interval": (0.9, 0.1)}, "guidance interval"),
    ],
)
def test_senseless_choices_are_refused_at_once(choice, words):
    with pytest.raises(BadInputError) as caught:
        Settings(**choice)
    assert str(caught.value).startswith(words)
