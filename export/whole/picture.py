"""What the runtime does to a picture around the network, as nodes: enlarge it, and give it its colours.

Levels are rounded where Pillow and the runtime round them, so that the graph has the same ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.export.whole.nodes import Nodes, Tensor
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.geometry import Size

TOP = 255
"""The highest level: a whole graph restores pictures of 8 bits."""
_SHARPNESS = -0.5
"""Of Pillow's bicubic curve."""
_BITS = 22
"""After the point, of the weights that Pillow resizes pictures of 8 bits with."""


def resized(nodes: Nodes, planes: Tensor, sizes: list[Size]) -> Tensor:
    """Levels ``[3, height, width]`` through some sizes, the first of which they have."""
    for (old_width, old_height), (width, height) in itertools.pairwise(sizes):
        for old, new, is_across in ((old_width, width, True), (old_height, height, False)):
            if old != new:
                weights = nodes.constant(bicubic(old, new).T if is_across else bicubic(old, new))
                pair = (planes, weights) if is_across else (weights, planes)
                planes = rounded_up(nodes, nodes.add("MatMul", *pair))
    return planes


def bicubic(old: int, new: int) -> NDArray[np.float32]:
    """Pillow's weights of the old pixels ``[new, old]``: in 22 bits, which FP32 holds exactly."""
    scale = old / new
    reach = 2 * max(scale, 1.0)
    weights = np.zeros((new, old))
    for place in range(new):
        centre = (place + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), old)
        curve = _curve((np.arange(first, last) - centre + 0.5) / max(scale, 1.0))
        weights[place, first:last] = curve / curve.sum()
    return (np.trunc(weights * (1 << _BITS) + np.copysign(0.5, weights)) / (1 << _BITS)).astype(np.float32)


def _curve(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    x, a = np.abs(x), _SHARPNESS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def rounded_up(nodes: Nodes, x: Tensor) -> Tensor:
    """Whole levels, halves upwards, as Pillow makes them."""
    return _within(nodes, nodes.add("Floor", nodes.add("Add", x, nodes.constant(0.5))))


def _within(nodes: Nodes, x: Tensor) -> Tensor:
    return nodes.add("Clip", x, nodes.constant(0), nodes.constant(TOP))


def whole_levels(nodes: Nodes, image: Tensor) -> Tensor:
    """Levels of a decoded image from -1 to 1, as the runtime rounds them: halves to the even one."""
    return nodes.add("Round", _within(nodes, nodes.affine(image, TOP / 2, TOP / 2)))


def in_colours_of(nodes: Nodes, fix: ColourFix, content: Tensor, style: Tensor) -> Tensor:
    """Levels ``[3, height, width]`` in the colours of others, to the nearest level."""
    return _FIXES[fix](nodes, content, style)


def refuse_unknown(fix: ColourFix) -> None:
    """Refuse a colour fix that has no nodes."""
    if fix not in _FIXES:
        raise BadInputError(
            f"colour fix {fix.value} in a whole graph", expected=" or ".join(known.value for known in _FIXES)
        )


def _adain(nodes: Nodes, content: Tensor, style: Tensor) -> Tensor:
    (mean, spread), (style_mean, style_spread) = (_moments(nodes, each) for each in (content, style))
    ratio = nodes.add("Div", style_spread, spread)
    matched = nodes.add("Add", nodes.add("Mul", nodes.add("Sub", content, mean), ratio), style_mean)
    return nodes.add("Round", _within(nodes, matched))


def _moments(nodes: Nodes, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel, in levels; the runtime's, which divides by one less."""
    axes = nodes.constant([1, 2], np.int64)
    mean = nodes.add("ReduceMean", levels, axes, keepdims=1)
    offsets = nodes.add("Sub", levels, mean)
    squares = nodes.add("ReduceMean", nodes.add("Mul", offsets, offsets), axes, keepdims=1)
    size = nodes.add("ReduceProd", nodes.cast(nodes.add("Shape", levels), np.float32), keepdims=0)
    count = nodes.add("Div", size, nodes.constant(3))
    of_fewer = nodes.add("Div", count, nodes.add("Sub", count, nodes.constant(1)))
    variance = nodes.affine(nodes.add("Mul", squares, of_fewer), 1.0, 1e-5 * TOP * TOP)
    return mean, nodes.add("Sqrt", variance)


_FIXES: dict[ColourFix, Callable[[Nodes, Tensor, Tensor], Tensor]] = {
    ColourFix.ADAIN: _adain,
    ColourFix.NONE: lambda _nodes, content, _style: content,
}
