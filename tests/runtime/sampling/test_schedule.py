"""The letters that say where each step's velocity comes from, and the schedule that is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.noise_levels import noise_levels
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver, read_velocities, written


def schedule(letters: str, guidance: Guidance | None = None) -> SamplingSchedule:
    return SamplingSchedule.of(
        len(letters), 3.0, Solver.EULER, guidance or Guidance(4.0), read_velocities(letters)
    )


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("", "a letter for each step, of g, u, h, x"),
        ("gq", "a letter for each step"),
        ("hg", "g or u first"),
        ("xg", "g or u first"),
        (7, "a letter for each step"),
        (["g"], "a letter for each step"),
    ],
)
def test_letters_that_no_loop_could_follow_are_refused(letters, words):
    with pytest.raises(BadInputError, match=words):
        read_velocities(letters)


def test_letters_come_back():
    assert written(read_velocities("gguhxu")) == "gguhxu"


def test_a_schedule_is_the_runs_that_are_left():
    found = schedule("gghuxxux")
    levels = noise_levels(8, 3.0)
    assert found.steps == len(found.coefficients) == len(found.timesteps) == 4
    assert (found.rows, found.branches) == ((2, 2, 1, 1), 2)
    np.testing.assert_array_equal(found.levels, levels[[0, 1, 3, 6, 8]])
    assert found.to_json() == {
        "velocities": "gghuxxux",
        "runs": 4,
        "rows": 6,
        "levels": [round(float(level), 6) for level in levels[[0, 1, 3, 6, 8]]],
    }


@pytest.mark.parametrize(
    ("guidance", "letters"),
    [(Guidance(4.0), "gguhg"), (Guidance(1.0), "uuuhu"), (Guidance(4.0, (0.6, 0.95)), "uguhu")],
)
def test_a_step_is_guided_where_it_asks_and_guidance_is_on(guidance, letters):
    found = schedule("gguhg", guidance)
    assert written(found.velocities) == letters
    assert found.branches == (2 if "g" in letters else 1)


def test_velocities_for_another_number_of_steps_are_refused():
    with pytest.raises(BadInputError, match="velocities for 3 steps; expected for 4"):
        SamplingSchedule.of(4, 3.0, Solver.EULER, Guidance(4.0), read_velocities("ggg"))
