"""Limits that a busy machine does not lower, times told by group, and no share above one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import record
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.bench.graph.cost import Cost
from dit4sr.bench.graph.layer_times import layer_seconds, seconds_of_nodes
from dit4sr.bench.graph.layers import Node
from dit4sr.bench.graph.roofline import roofline
from dit4sr.bench.measure import limits
from dit4sr.bench.measure.limits import CACHES, COMPUTE, MEMORY, Gauge, Limits, host_gauge
from dit4sr.bench.record import OURS, GroupRow, Series
from dit4sr.bench.report.explain import explain
from dit4sr.bench.report.text import terminal_report
from dit4sr.bench.workload import Workload
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import IncompatibleError

LIMITS = Limits(copy_bandwidth=10.0, cached_bandwidth=100.0, matmul_rate=1000.0, precision="fp32")


def test_the_best_look_stands(monkeypatch):
    """The second look has the machine to itself, the first and the third do not."""
    seconds = iter([2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 3.0, 6.0, 12.0])
    monkeypatch.setattr(limits, "_fastest", lambda _: next(seconds))
    gauge = Gauge({name: [(8.0, list)] for name in ("copy", "cached copy", "product")}, "fp32")
    for _ in range(3):
        gauge.look()
    assert gauge.limits == Limits(8.0, 4.0, 2.0, "fp32")


def test_the_host_is_measured(monkeypatch):
    monkeypatch.setattr(limits, "LOOK", 0.01)
    monkeypatch.setattr(limits, "SIDES", (64,))
    found = host_gauge(threads=1).limits
    assert found.matmul_rate > 1e8
    assert min(found.copy_bandwidth, found.cached_bandwidth) > 1e8


@pytest.mark.parametrize(
    ("cache", "flops", "moved", "seconds", "bound"),
    [
        (0, 1e4, 10, 10.0, COMPUTE),
        (0, 1e3, 100, 10.0, MEMORY),
        (1 << 20, 1e3, 200, 2.0, CACHES),
        (1 << 20, 1e4, 200, 10.0, COMPUTE),
    ],
)
def test_small_networks_are_held_against_the_caches(monkeypatch, cache, flops, moved, seconds, bound):
    monkeypatch.setattr(limits, "last_cache", lambda: cache)
    fitting = LIMITS.for_weights(1000)
    assert (fitting.seconds(flops, moved), fitting.bound(flops, moved)) == (seconds, bound)


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
