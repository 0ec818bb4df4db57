"""Adaptive instance normalisation as nodes: by the runtime's table of levels, or by plain arithmetic.

The table is made in double precision from the counts of every level, as the runtime makes it, and so is the
same one.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from dit4sr.export.whole.nodes import Nodes, Tensor
from dit4sr.runtime.image.colour import NOTHING

TOP = 255
"""The highest level: a whole graph restores pictures of 8 bits."""
_LEVELS = TOP + 1
_CHANNELS = 3
_SPREAD = 1e-5
"""What is added to a variance, of levels from 0 to 1."""


def matched(nodes: Nodes, content: Tensor, style: Tensor) -> Tensor:
    """Levels ``[3, height, width]`` with the mean and spread of others, rounded so that the mean is kept."""
    places, counts = _counted(nodes, content)
    _, style_counts = _counted(nodes, style)
    levels = nodes.constant(np.arange(_LEVELS) / TOP, np.float64)
    (mean, spread), (style_mean, style_spread) = (
        _moments_of_counts(nodes, each, levels) for each in (counts, style_counts)
    )
    apart = nodes.add("Div", nodes.add("Sub", levels, mean), spread)
    exact = nodes.add("Add", nodes.add("Mul", apart, style_spread), style_mean)
    within = nodes.add("Clip", exact, nodes.constant(0, np.float64), nodes.constant(1, np.float64))
    table = _rounded(nodes, nodes.add("Mul", within, nodes.constant(TOP, np.float64)), counts)
    found = nodes.add("Gather", nodes.reshaped(table, [-1]), places, axis=0)
    return nodes.add("Reshape", nodes.cast(found, np.float32), nodes.add("Shape", content))


def _counted(nodes: Nodes, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Where each level is in a table of all channels, and how often each is there ``[3, 256]``."""
    offsets = nodes.constant(np.arange(_CHANNELS).reshape(-1, 1, 1) * _LEVELS, np.int64)
    places = nodes.reshaped(nodes.add("Add", nodes.cast(levels, np.int64), offsets), [-1])
    ones = nodes.add("Expand", nodes.constant([1], np.float64), nodes.add("Shape", places))
    empty = nodes.constant(np.zeros(_CHANNELS * _LEVELS), np.float64)
    counts = nodes.add("ScatterElements", empty, places, ones, axis=0, reduction="add")
    return places, nodes.reshaped(counts, [_CHANNELS, _LEVELS])


def _moments_of_counts(nodes: Nodes, counts: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread ``[3, 1]`` of levels that are there so often."""
    axis, one = nodes.constant([1], np.int64), nodes.constant(1, np.float64)

    def weighed(values: Tensor) -> Tensor:
        return nodes.add("ReduceSum", nodes.add("Mul", counts, values), axis, keepdims=1)

    size = nodes.add("ReduceSum", counts, axis, keepdims=1)
    mean = nodes.add("Div", weighed(levels), size)
    apart = nodes.add("Sub", levels, mean)
    fewer = nodes.add("Max", nodes.add("Sub", size, one), one)
    variance = nodes.add("Div", weighed(nodes.add("Mul", apart, apart)), fewer)
    spread = nodes.add("Sqrt", nodes.add("Add", variance, nodes.constant(_SPREAD, np.float64)))
    return mean, spread


def _rounded(nodes: Nodes, exact: Tensor, counts: Tensor) -> Tensor:
    """Whole levels ``[3, 256]``: each goes up or down by what those before it left over."""
    double, boolean = TensorProto.DOUBLE, TensorProto.BOOL
    whole = nodes.add("Floor", exact)
    rest = nodes.add("Sub", exact, whole)
    body = Nodes(nodes, "levels/")
    step, owed = "levels/step", "levels/owed"
    part, count = (body.add("Gather", tensor, step, axis=1) for tensor in (rest, counts))
    now = body.add("Add", owed, body.add("Mul", part, count))
    is_more = body.add("Greater", body.add("Mul", now, body.constant(2, np.float64)), count)
    is_some = body.add("Greater", part, body.constant(NOTHING, np.float64))
    up = body.cast(body.add("And", is_more, is_some), np.float64)
    left = body.add("Sub", now, body.add("Mul", up, count))
    going_on = body.add("Identity", "levels/condition")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        body.nodes,
        "levels",
        [
            value(step, TensorProto.INT64, []),
            value("levels/condition", boolean, []),
            value(owed, double, [_CHANNELS]),
        ],
        [value(going_on, boolean, []), value(left, double, [_CHANNELS]), value(up, double, [_CHANNELS])],
    )
    start = nodes.constant(np.zeros(_CHANNELS), np.float64)
    inputs = [nodes.constant(_LEVELS, np.int64), nodes.constant(True, np.bool_), start]
    outputs = ["levels_owed", "levels_up"]
    nodes.nodes.append(helper.make_node("Loop", inputs, outputs, name="levels", body=graph))
    return nodes.add("Add", whole, nodes.add("Transpose", "levels_up", perm=[1, 0]))


def matched_by_nearest(nodes: Nodes, content: Tensor, style: Tensor) -> Tensor:
    """The same in FP32, each level rounded to the nearest: no loop, for compilers."""
    (mean, spread), (style_mean, style_spread) = (_moments(nodes, each) for each in (content, style))
    ratio = nodes.add("Div", style_spread, spread)
    exact = nodes.add("Add", nodes.add("Mul", nodes.add("Sub", content, mean), ratio), style_mean)
    within = nodes.add("Clip", exact, nodes.constant(0), nodes.constant(TOP))
    return nodes.add("Round", within)


def _moments(nodes: Nodes, levels: Tensor) -> tuple[Tensor, Tensor]:
    axes = nodes.constant([1, 2], np.int64)
    mean = nodes.add("ReduceMean", levels, axes, keepdims=1)
    apart = nodes.add("Sub", levels, mean)
    squares = nodes.add("ReduceMean", nodes.add("Mul", apart, apart), axes, keepdims=1)
    size = nodes.add("ReduceProd", nodes.cast(nodes.add("Shape", levels), np.float32), keepdims=0)
    count = nodes.add("Div", size, nodes.constant(_CHANNELS))
    of_fewer = nodes.add("Div", count, nodes.add("Sub", count, nodes.constant(1)))
    variance = nodes.affine(nodes.add("Mul", squares, of_fewer), 1.0, _SPREAD * TOP * TOP)
    return mean, nodes.add("Sqrt", variance)
