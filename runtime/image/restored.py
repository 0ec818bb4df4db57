"""A restored picture: to look at, to compute with, or to write to a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import Photo, Picture
from dit4sr.runtime.image.writing import format_of, write_photo


@dataclass(frozen=True)
class Restored:
    """A restored picture, with its seed, the seconds of each stage, and what is to be said of it."""

    photo: Photo = field(repr=False)
    """Its levels, and what it keeps of the input: transparency, EXIF, colour profile."""
    seed: int
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()

    @cached_property
    def picture(self) -> Picture:
        """The array: ``uint8``, or ``uint16`` of an input with more bits.

        ``[height, width]`` if the input was grey, else ``[height, width, channels]``; transparency is last.
        """
        return self.photo.channels

    @property
    def image(self) -> Image.Image:
        """The same for Pillow, with colour profile and EXIF; colours have 8 bits there."""
        is_grey = self.picture.ndim == 2  # for 16 bits of which Pillow has a mode
        image = Image.fromarray(self.picture if is_grey else self.photo.in_eight_bits().channels)
        if self.photo.icc:
            image.info["icc_profile"] = self.photo.icc
        if self.photo.exif:
            image.info["exif"] = self.photo.exif
        return image

    def save(
        self, path: str | os.PathLike[str], *, quality: int = 95, overwrite: bool = False
    ) -> tuple[str, ...]:
        """Write a PNG, JPEG, WEBP or TIFF, by the name's ending, and return what that could not keep.

        The file appears whole or not at all; one that is there is replaced only with ``overwrite``.
        ``quality`` is that of JPEG and WEBP. PNG and TIFF have 16 bits a channel where the input had more
        than 8.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise BadInputError(f"{target} exists", fix="choose another name, or say overwrite=True")
        content, lost = write_photo(self.photo, format_of(target), quality=quality)
        write_whole(target, content, replace=overwrite)
        return tuple(lost)
