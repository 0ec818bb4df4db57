"""Sizes of pictures as people write them: ``512x768``, height by width."""

from __future__ import annotations

import re
from typing import Any

import click

from dit4sr.runtime.console.names import parse_names

Size = tuple[int, int]
"""Height and width, in pixels."""

_PATTERN = re.compile(r"([0-9]{1,6})(?:[xX×]([0-9]{1,6}))?")


def parse_size(text: str) -> Size:
    """Read ``512x768`` as height and width; one number is a square. Anything else is a ``ValueError``."""
    found = _PATTERN.fullmatch(text.strip())
    sides = [int(side) for side in found.groups(found[1])] if found else [0]
    if min(sides) < 1:
        raise ValueError(f"{text!r} is not a size; write 512x768 (height by width), or 512 for a square")
    return sides[0], sides[1]


class SizeType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A size on a command line."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        """The size that a word says; a default may be a size already."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SizesType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """Several sizes on a command line, separated by commas."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Size, ...]:
        """The sizes that a word says; a default may be sizes already."""
        if isinstance(value, tuple):
            return value
        return tuple(SIZE.convert(part, param, ctx) for part in parse_names(value))


SIZE, SIZES = SizeType(), SizesType()
