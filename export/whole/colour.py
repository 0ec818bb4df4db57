"""Adaptive instance normalisation as nodes, in FP32."""

from __future__ import annotations

import numpy as np

from dit4sr.export.whole.nodes import Nodes, Tensor

TOP = 255
"""The highest level: a whole graph restores pictures of 8 bits."""
_CHANNELS = 3
_SPREAD = 1e-5
"""What is added to a variance, of levels from 0 to 1."""


def matched(nodes: Nodes, content: Tensor, style: Tensor) -> Tensor:
    """Levels ``[3, height, width]`` with the mean and spread of others, whole ones or not."""
    (mean, spread), (style_mean, style_spread) = (_moments(nodes, each) for each in (content, style))
    ratio = nodes.add("Div", style_spread, spread)
    return nodes.add("Add", nodes.add("Mul", nodes.add("Sub", content, mean), ratio), style_mean)


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
