"""Times told by group of layers, and no share of the roof above one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import record
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.bench.graph.cost import Cost
from dit4sr.bench.graph.layer_times import layer_seconds, seconds_of_nodes
from dit4sr.bench.graph.layers import Node
from dit4sr.bench.graph.roofline import roofline
from dit4sr.bench.measure.limits import CACHES, COMPUTE, Limits
from dit4sr.bench.record import OURS, GroupRow, Series
from dit4sr.bench.report.explanation import explain
from dit4sr.bench.report.terminal import terminal_report
from dit4sr.bench.workload import Workload
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import IncompatibleError

LIMITS = Limits(copy_bandwidth=10.0, cached_bandwidth=100.0, matmul_rate=1000.0, precision="fp32")


def test_faster_than_the_limit_is_no_share():
    """Ten seconds at the limit, measured as eight: the limit is wrong, not the group splendid."""
    costs = {"image MLP": Cost(macs=5000), "dual attention": Cost(macs=500)}
    groups = roofline(costs, LIMITS, {"image MLP": 8.0, "dual attention": 2.0})
    assert [row.share_of_roof for row in groups] == [None, 0.5]
    shown = terminal_report(replace(record(), groups=groups))
    assert "No share for image MLP: faster than the limits" in shown
    assert "125%" not in shown


def test_a_step_above_its_roof_is_not_explained_by_it():
    rows = (GroupRow("image MLP", 1e9, 1e6, 0.02, COMPUTE, 0.01),)
    known = replace(record(), groups=rows, series=(Series("step", OURS, (0.01,) * 3),))
    said = " ".join(explain(known))
    assert "the limits were measured too low to judge by" in said
    assert "of the roof" not in said


def test_the_explanation_knows_caches_from_memory():
    row = GroupRow("image MLP", 1.0, 1e6, 0.005, CACHES, 0.01)
    said = explain(replace(record(), groups=(row,)))
    assert any("bound by the caches' bandwidth" in sentence for sentence in said)


def test_times_come_by_group_from_the_runtimes_profile(tmp_path):
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy", fixed={"h": 8, "w": 8, "H": 32, "W": 32}))
    work = Workload.of(bundle, pixels=(32, 32), steps=1, branches=2)
    feeds = work.arrays(bundle.components["step"].inputs)
    found = layer_seconds(bundle.component_file("step"), feeds, LAYERS, threads=1, runs=3)
    assert CARD.vae_factor * 8 == 32
    assert set(found) <= set(LAYERS.groups)
    assert sum(found.values()) > 0


def test_a_profile_of_another_graph_is_refused():
    """Times go to nodes by their place: they must be the same nodes."""
    nodes = [Node("MatMul", "a"), Node("Add", "b")]
    events = [
        {"cat": "Node", "name": f"{n}_kernel_time", "dur": 1000 * (n + 1), "args": {"op_name": operator}}
        for n, operator in enumerate(["MatMul", "Add"] * 2)
    ]
    assert seconds_of_nodes(events, nodes).tolist() == [[0.001, 0.002], [0.003, 0.004]]
    for wrong in (events[:3], events[::-1]):
        with pytest.raises(IncompatibleError, match="does not follow its graph"):
            seconds_of_nodes(wrong, nodes)
