"""What the C source is given back: a value, or what is to be said of a failure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from dit4sr.runtime.errors import INTERNAL_ERROR, INTERRUPTED, in_one_line, known_failure
from dit4sr.runtime.native.words import for_c
from dit4sr.runtime.restoration import CancelledError

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

Answer = tuple[Any] | tuple[int, str, str, str, str]
"""The value alone; or status, message, found, expected, fix."""


def answered(function: Callable[Parameters, Value]) -> Callable[Parameters, Answer]:
    """Let a function answer with what it would raise: nothing passes from Python into C by itself."""

    @functools.wraps(function)
    def call(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> Answer:
        try:
            return (function(*arguments, **keywords),)
        except CancelledError:
            return INTERRUPTED, "cancelled", "cancelled", "", ""
        except BaseException as error:
            return _failure(error)

    return call


def _failure(error: BaseException) -> Answer:
    known = known_failure(error)
    if known is not None:
        return known.exit_code, for_c(str(known)), for_c(known.found), for_c(known.expected), for_c(known.fix)
    message = for_c(in_one_line(error))
    return INTERNAL_ERROR, message, message, "", "please report it"
