"""Spans: the sizes of one axis that a plan is built for, and how people write those of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dit4sr.runtime.console.sizes import parse_size
from dit4sr.runtime.errors import BadInputError


@dataclass(frozen=True)
class Span:
    """Least, best and largest size."""

    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise BadInputError(f"sizes {self.least}, {self.best}, {self.most}", expected="an ascent from 1")

    @classmethod
    def at(cls, size: int) -> Span:
        """A fixed size."""
        return cls(size, size, size)

    @property
    def is_fixed(self) -> bool:
        """True if there is one size."""
        return self.least == self.most

    def __iter__(self) -> Iterator[int]:
        """In ascending order."""
        return iter((self.least, self.best, self.most))


def picture_spans(text: str) -> tuple[Span, Span]:
    """Height and width of ``512x512``, or of a range as ``256:512x768:1024``; one number is a square.

    Of two sizes the larger is also the best: ``512:512x512`` is one size.
    """
    try:
        sizes = [parse_size(size) for size in text.split(":")]
    except ValueError:
        sizes = []
    match sizes:
        case [only]:
            sizes = [only, only, only]
        case [least, best]:
            sizes = [least, best, best]
        case [_, _, _]:
            pass
        case _:
            raise BadInputError(
                f"profile {text!r}", expected="HxW, or least:best:largest as 256x256:512x512:1024x1024"
            )
    heights, widths = zip(*sizes, strict=True)
    return Span(*heights), Span(*widths)
