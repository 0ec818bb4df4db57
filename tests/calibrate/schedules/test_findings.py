"""What a search keeps for going on: it comes back, and is refused where it belongs to something else."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.calibrate.schedules.findings import Findings, Outcome
from dit4sr.calibrate.schedules.trajectory import Trajectory
from dit4sr.runtime.errors import BadInputError, IntegrityError

ORIGIN = {"weights": "abc", "exact schedule": "euler gggg 2", "seed": "0"}


@pytest.fixture
def file(tmp_path):
    found = Findings(tmp_path / "found.npz", ORIGIN)
    found.keep_trajectory("photo", Trajectory(np.eye(3), np.ones(3), np.zeros(3)))
    found.keep_outcome("photo", "euler gh", Outcome(44.5, None, 0.25))
    found.keep_outcome("other", "euler gh", Outcome(45.5, 0.01, 0.5))
    return found.file


def test_what_was_kept_comes_back(file):
    found = Findings.resumed(file, ORIGIN)
    assert found.outcomes["photo"] == {"euler gh": Outcome(44.5, None, 0.25)}
    assert found.outcomes["other"] == {"euler gh": Outcome(45.5, 0.01, 0.5)}
    np.testing.assert_array_equal(found.trajectories["photo"].products, np.eye(3))


def test_without_a_file_nothing_is_known(tmp_path):
    found = Findings.resumed(tmp_path / "none.npz", ORIGIN)
    assert (found.outcomes, found.trajectories) == ({}, {})


@pytest.mark.parametrize("change", [{"weights": "x"}, {"seed": "1"}, {"exact schedule": "ab2 gggg 2"}])
def test_what_was_found_on_something_else_is_refused(file, change):
    with pytest.raises(BadInputError, match=f"found with another {next(iter(change))}"):
        Findings.resumed(file, ORIGIN | change)


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_file_is_refused_in_one_line(file, damage):
    content = file.read_bytes()
    file.write_bytes({"cut": content[: len(content) // 2], "other": b"no archive", "empty": b""}[damage])
    with pytest.raises(IntegrityError, match="damaged ones") as caught:
        Findings.resumed(file, ORIGIN)
    assert "\n" not in str(caught.value)
