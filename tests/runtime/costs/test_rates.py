"""The machine's rates: measured with a graph that is written by hand."""

from __future__ import annotations

import onnx

from dit4sr.runtime.costs import rates
from dit4sr.runtime.costs.rates import Rates, measured_rates


def test_the_graph_that_is_timed_is_one_matmul():
    model = onnx.load_from_string(rates._MATMUL)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul"]


def test_rates_are_measured(monkeypatch):
    monkeypatch.setattr(rates, "LEAST_SECONDS", 0.0)
    found = measured_rates(threads=1)
    assert 1e8 < found.arithmetic < 1e14
    assert 1e8 < found.copying < 1e13


def test_arithmetic_and_traffic_follow_one_another():
    assert Rates(10.0, 5.0).seconds(20, 15) == 5.0
