"""From a photo's size to the size the network works at, and on to the size the user gets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dit4sr.runtime.choices import is_number
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Picture, resized

Size = tuple[int, int]
"""Width and height."""


LEAST_SCALE, MOST_SCALE = 1 / 16, 16


def check_scale(scale: float) -> None:
    """Refuse what is no factor to enlarge by."""
    if not is_number(scale) or not LEAST_SCALE <= scale <= MOST_SCALE:
        raise BadInputError(f"scale {scale}", expected=f"a number from {LEAST_SCALE} to {MOST_SCALE}")


@dataclass(frozen=True)
class Geometry:
    """The sizes that a picture passes through on its way to the user."""

    source: Size
    lifted: Size
    """Brought up to what the network needs at least."""
    enlarged: Size
    """Times the scale."""
    work: Size
    """Cut down to whole latents; the network works here."""
    final: Size

    @classmethod
    def of(cls, source: Size, *, scale: float, tile: int, factor: int, most_pixels: int) -> Geometry:
        """Find the sizes for a photo, ``tile`` being the training picture's side and ``factor`` the VAE's.

        The released pipeline lifts small photos by rounding down, which sends shortest sides of 49, 98, 103
        and 107 to 127 instead of 128, from there to latents of odd size, and so into a crash. Here the
        shortest side is lifted exactly.
        """
        shortest, least = min(source), math.ceil(tile / scale)
        lifted = source
        if shortest < least:
            lifted = (source[0] * least // shortest, source[1] * least // shortest)
        enlarged = (int(lifted[0] * scale), int(lifted[1] * scale))
        work = (enlarged[0] // factor * factor, enlarged[1] // factor * factor)
        # Below a scale of one it is the lifted picture that is the largest.
        width, height = max(work, lifted, key=math.prod)
        if width * height > most_pixels:
            raise BadInputError(
                f"{source[0]}×{source[1]} would be worked on as {width}×{height} pixels",
                expected=f"{most_pixels:,} at most",
                fix="crop it, take another --outscale, or raise --max-pixels",
            )
        final = (max(round(source[0] * scale), 1), max(round(source[1] * scale), 1))
        return cls(source, lifted, enlarged, work, final)

    def enlarge(self, picture: Picture) -> Picture:
        """Bring a photo to the size the network works at, in the released pipeline's three resizes."""
        for size in (self.lifted, self.enlarged, self.work):
            picture = resized(picture, size)
        return picture

    def finish(self, picture: Picture) -> Picture:
        """Bring a restored picture to the size the user asked for."""
        return resized(picture, self.final)
