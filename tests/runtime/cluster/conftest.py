"""One real cluster of two nodes, for the tests that need one."""

from __future__ import annotations

import pytest

from dit4sr.bench.cluster.nodes import nodes_of_this_machine
from dit4sr.bench.cluster.trials import Trials

pytest.importorskip("ray")


@pytest.fixture
def nodes():
    with nodes_of_this_machine(2) as found:
        yield found


@pytest.fixture
def trials(toy_bundle, tmp_path):
    return Trials(tmp_path, 200, toy_bundle)
