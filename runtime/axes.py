"""Symbolic axes: their names, what each measures in one run, and the arithmetic in which graphs state them.

============== =================================================================================
images         pictures, or tiles, in one run
branches       of guidance: negative and positive, or the positive alone
rows           what the network sees at once: images for each branch
height, width  of the latent
pixel_height,  of the picture
pixel_width
tokens         patches of the latent
text           rows of text in a prompt
steps          of the schedule
============== =================================================================================
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.errors import BadInputError

Sizes = Mapping[str, int]
"""What every named axis measures."""

_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def axis_sizes(
    card: ModelCard,
    *,
    latent: tuple[int, int],
    images: int = 1,
    branches: int = 2,
    text: int | None = None,
    steps: int | None = None,
) -> dict[str, int]:
    """What every axis measures in one run, with the card's own text and steps unless others are given."""
    height, width = latent
    return {
        "images": images,
        "branches": branches,
        "rows": images * branches,
        "height": height,
        "width": width,
        "pixel_height": height * card.vae_factor,
        "pixel_width": width * card.vae_factor,
        "tokens": (height // card.patch_size) * (width // card.patch_size),
        "text": card.text_tokens if text is None else text,
        "steps": card.default_steps if steps is None else steps,
    }


def latent_size(card: ModelCard, pixels: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the latent of a picture; refuses one that no whole number of patches covers."""
    unit = card.vae_factor * card.patch_size
    if any(side < unit or side % unit for side in pixels):
        raise BadInputError(
            f"a picture of {pixels[0]}×{pixels[1]}", expected=f"sides that are multiples of {unit}"
        )
    return pixels[0] // card.vae_factor, pixels[1] // card.vae_factor


def axis_length(axis: int | str, sizes: Sizes) -> int:
    """The length of an axis, a number or an expression such as ``branches*images`` or ``(height//2)``.

    An expression that no size explains is refused in one line.
    """
    if isinstance(axis, int):
        return axis
    try:
        return _evaluate(ast.parse(axis, mode="eval").body, sizes)
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        raise BadInputError(
            f"an axis is {axis[:80]!r}", expected=f"arithmetic on {', '.join(sorted(sizes))}"
        ) from None


def axis_names(axis: int | str) -> set[str]:
    """The names of axes that an axis is made of; none if it is a number, or no arithmetic at all."""
    try:
        tree = ast.parse(str(axis), mode="eval")
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _evaluate(node: ast.expr, sizes: Sizes) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            return _ARITHMETIC[type(sign)](_evaluate(left, sizes), _evaluate(right, sizes))
    raise ValueError(ast.dump(node))
