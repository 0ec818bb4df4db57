"""Graphs that do not answer as their manifest says: refused, whatever the lie and whoever tells it."""

from __future__ import annotations

import pytest
from support.forked_runs import outcomes, unclean
from support.lying_graphs import attacks


def test_no_answer_is_taken_for_another(toy_bundle):
    """Fewer rows, other types, other ranks, sizes that the data decide: no crash, no foreign memory."""
    told = attacks(toy_bundle)
    found = outcomes("support.lying_graphs", toy_bundle, range(len(told)))
    assert len(found) == len(told) > 150
    assert [(told[one.number], one) for one in unclean(found, {4, 5})] == []


@pytest.mark.slow
def test_no_answer_is_taken_for_another_however_it_is_declared(toy_bundle):
    """Each lie in one tile and in several, with the shape of the manifest and with none."""
    told = attacks(toy_bundle)
    found = outcomes("support.lying_graphs", toy_bundle, range(4 * len(told)))
    assert [(told[one.number % len(told)], one) for one in unclean(found, {4, 5})] == []
