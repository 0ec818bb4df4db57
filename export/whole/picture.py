"""What the runtime does to a picture around the network, as nodes: enlarge it, and give it its colours.

Levels are rounded where Pillow and the runtime round them, so that the graph has the same ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.export.whole.colour import TOP, matched
from dit4sr.export.whole.nodes import Nodes, Tensor
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.geometry import Size

_SHARPNESS = -0.5
"""Of Pillow's bicubic curve."""
_FINE = 65535
"""The highest level of what the colour fix is given, as in the runtime."""
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


def _within(nodes: Nodes, x: Tensor, top: int = TOP) -> Tensor:
    return nodes.add("Clip", x, nodes.constant(0), nodes.constant(top))


def coloured(nodes: Nodes, fix: ColourFix, image: Tensor, style: Tensor) -> Tensor:
    """Whole levels of a decoded image from -1 to 1, in the colours of ``style`` if it is to be fixed."""
    if fix is ColourFix.NONE:
        return _nearest(nodes, image, TOP)
    levels = nodes.add("Div", _nearest(nodes, image, _FINE), nodes.constant(_FINE / TOP))
    return nodes.add("Round", _within(nodes, matched(nodes, levels, style)))


def _nearest(nodes: Nodes, image: Tensor, top: int) -> Tensor:
    """Levels up to the highest as the runtime rounds them: halves to the even one."""
    return nodes.add("Round", _within(nodes, nodes.affine(image, top / 2, top / 2), top))


def refuse_unknown(fix: ColourFix) -> None:
    """Refuse a colour fix that has no nodes."""
    known = (ColourFix.ADAIN, ColourFix.NONE)
    if fix not in known:
        raise BadInputError(
            f"colour fix {fix.value} in a whole graph", expected=" or ".join(each.value for each in known)
        )
