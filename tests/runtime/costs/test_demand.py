"""What a run demands: counted by hand on a graph of three operators, and followed through views."""

from __future__ import annotations

import pytest

from dit4sr.runtime.costs.demand import HOST_FLOAT, SCORES_HELD, demand_of
from dit4sr.runtime.costs.outline import Node, Outline, Tensor
from dit4sr.runtime.costs.products import macs, score_elements
from dit4sr.runtime.errors import BadInputError

HALF, FLOAT, BYTE = 10, 1, 3


def node(operator: str, inputs: str, output: str, **attributes: int) -> Node:
    return Node(operator, "", tuple(inputs.split()), (output,), attributes)


def outline(nodes: list[Node], weights: str, **tensors: tuple[int, tuple[int | str, ...]]) -> Outline:
    known = {name: Tensor(element, shape) for name, (element, shape) in tensors.items()}
    return Outline(tuple(nodes), known, frozenset(weights.split()))


PERCEPTRON = outline(
    [node("MatMul", "x w", "a"), node("Gelu", "a", "b"), node("MatMul", "b v", "y")],
    "w v",
    x=(FLOAT, ("rows", 8)),
    w=(HALF, (8, 32)),
    a=(FLOAT, ("rows", 32)),
    b=(FLOAT, ("rows", 32)),
    v=(HALF, (32, 8)),
    y=(FLOAT, ("rows", 8)),
)


def test_products_traffic_and_memory_are_those_counted_by_hand():
    demand = demand_of(PERCEPTRON, {"rows": 10})
    assert demand.flops == 2 * (10 * 32 * 8 + 10 * 8 * 32)
    # Half precision is widened on a host.
    assert demand.weight_bytes == 4 * (8 * 32 + 32 * 8)
    assert demand.largest_weight_bytes == 4 * 8 * 32
    x, a, w = 4 * 10 * 8, 4 * 10 * 32, 4 * 8 * 32
    assert demand.moved_bytes == (x + w + a) + (a + a) + (a + w + x)
    # The widest moment is within Gelu: its input, its output, and what the caller holds.
    assert demand.peak_bytes == x + a + a
    assert demand.operators == 3


def test_a_device_keeps_the_types_of_the_graph():
    on_device = demand_of(PERCEPTRON, {"rows": 10}, on_host=False)
    assert on_device.weight_bytes == 2 * (8 * 32 + 32 * 8)


def test_quantised_weights_are_widened_on_a_host():
    quantised = outline(
        [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d", "y")],
        "w s",
        x=(FLOAT, (1, 8)),
        w=(BYTE, (8, 32)),
        s=(FLOAT, (1,)),
        d=(FLOAT, (8, 32)),
        y=(FLOAT, (1, 32)),
    )
    assert demand_of(quantised, {}).weight_bytes == HOST_FLOAT * (8 * 32 + 1)


def test_a_view_takes_no_room_and_keeps_what_it_looks_at():
    """Without the view's last reader the tensor behind it would be gone too early."""
    viewed = outline(
        [
            node("Gelu", "x", "a"),
            node("Reshape", "a s", "seen"),
            node("Gelu", "x", "b"),
            node("Add", "seen b", "y"),
        ],
        "s",
        x=(FLOAT, (100,)),
        a=(FLOAT, (100,)),
        s=(7, (2,)),
        seen=(FLOAT, (10, 10)),
        b=(FLOAT, (100,)),
        y=(FLOAT, (10, 10)),
    )
    demand = demand_of(viewed, {})
    assert demand.peak_bytes == 4 * 400  # x, a, b and y
    assert demand.moved_bytes == 2 * 800 + 1200


def test_an_attentions_scores_count_though_no_tensor_shows_them():
    heads = {"heads": 2, "head_dim": 4}
    streams = [(3, 5, 24), (3, 5, 24), (3, 2, 24)]
    assert score_elements("JointAttention", streams, streams, heads) == 3 * 2 * 12 * 12
    assert macs("JointAttention", streams, streams, heads) == 2 * 3 * 12 * 12 * 8
    assert score_elements("JointAttentionFinal", streams, streams[:1], heads) == 3 * 2 * 5 * 12
    assert score_elements("MatMul", streams, streams, {}) == 0
    attention = Outline(
        (Node("JointAttentionDual", "dit4sr", ("q", "k"), ("a", "b"), heads),),
        {name: Tensor(FLOAT, (1, 50, 24)) for name in "qkab"},
        frozenset(),
    )
    scores = 4 * 2 * 100 * 100
    assert demand_of(attention, {}).peak_bytes == 4 * 4 * 50 * 24 + SCORES_HELD * scores


def test_an_injection_is_priced_alike_in_both_versions_of_the_operator():
    stream, weights = (2, 4, 5, 8), [(3, 3, 8), (8,)]
    assert macs("DepthwiseInject", [stream, stream, *weights], [stream], {}) == 9 * 2 * 4 * 5 * 8
    both = (2, 2, 4, 5, 8)
    assert macs("DepthwiseInject", [both, *weights], [both], {}) == 9 * 2 * 4 * 5 * 8


def test_a_shape_that_is_not_stated_is_refused():
    with pytest.raises(BadInputError, match="does not say what shape"):
        demand_of(outline([node("Gelu", "x", "y")], "", x=(FLOAT, (1,))), {})
