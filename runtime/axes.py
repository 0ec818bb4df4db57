"""Symbolic axes in numbers: graphs state shapes such as ``branches*images`` or ``(height//2)``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from dit4sr.runtime.errors import BadInputError

Sizes = Mapping[str, int]
"""What every named axis measures."""

_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def axis_length(expression: str, sizes: Sizes) -> int:
    """The length of an axis; one that no size explains is refused in one line."""
    try:
        return _evaluate(ast.parse(expression, mode="eval").body, sizes)
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        raise BadInputError(
            f"an axis is {expression[:80]!r}", expected=f"arithmetic on {', '.join(sorted(sizes))}"
        ) from None


def _evaluate(node: ast.expr, sizes: Sizes) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            return _ARITHMETIC[type(sign)](_evaluate(left, sizes), _evaluate(right, sizes))
    raise ValueError(ast.dump(node))
