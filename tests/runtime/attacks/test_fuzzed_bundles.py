"""Bundles spoilt at random: every run ends in a picture, or in one line and an exit code that says why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.forked_runs import Outcome, outcomes, unclean

ALLOWED = {0, 2, 4, 5, 6, 7}
SHORT = 40
GRAPHS, MANIFESTS = 500, 5000


def run(bundle: Path, numbers: range) -> list[Outcome]:
    found = outcomes("support.fuzzed_bundles", bundle, numbers)
    assert len(found) == len(numbers)
    return found


def test_a_spoilt_bundle_ends_in_one_line(toy_bundle):
    """A few of each kind; the long run is marked slow."""
    found = run(toy_bundle, range(SHORT))
    assert unclean(found, ALLOWED) == []
    assert len({one.ended for one in found}) > 2, "the attacks spoil nothing"


@pytest.mark.slow
def test_thousands_of_spoilt_bundles_end_in_one_line(toy_bundle):
    """Graphs have even numbers and manifests odd ones."""
    found = run(toy_bundle, range(0, 2 * GRAPHS, 2)) + run(toy_bundle, range(1, 2 * MANIFESTS, 2))
    print(Counter(one.ended for one in found))  # noqa: T201 - the figures of the run, with -s
    assert unclean(found, ALLOWED) == []
