"""What counts as a picture: a path, a Pillow image, or an array of any usual type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Photo, Picture, photo_of_image, read_content, read_photo

AnyPicture = Union[str, "os.PathLike[str]", Image.Image, NDArray[Any], Photo]
"""And whatever else speaks NumPy's array protocol, such as a tensor of torch on the CPU."""

_SHAPES = "[height, width], or [height, width, channels] of 1 to 4"
_TYPES = "uint8, uint16, bool, or floats from 0 to 1"


def photo_of(picture: AnyPicture, *, most_pixels: int) -> Photo:
    """Take a picture as a photo; whatever is none ends as one clear line."""
    if isinstance(picture, Photo):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        path = Path(picture)
        return read_photo(read_content(path), str(path), most_pixels=most_pixels)
    if isinstance(picture, Image.Image):
        return photo_of_image(picture, most_pixels=most_pixels)
    if not hasattr(picture, "__array__"):
        raise BadInputError(
            f"a picture cannot be of type {type(picture).__name__}",
            expected="a path, a Pillow image, an array, or a list of these",
        )
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInputError(f"a {type(picture).__name__} is no array for NumPy ({error})") from None
    return Photo.of(_levels(_checked_shape(array)))


def _checked_shape(array: NDArray[Any]) -> NDArray[Any]:
    is_picture = array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2] <= 4)
    if is_picture and array.size:
        return array
    is_turned = array.ndim == 3 and 1 <= array.shape[0] <= 4
    raise BadInputError(
        f"an array of shape {array.shape}",
        expected=_SHAPES,
        fix="move its first axis to the end" if is_turned and array.size else "",
    )


def _levels(array: NDArray[Any]) -> Picture:
    """The levels of 8 or 16 bits that an array of some type means."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.uint8) * 255
    if kind == "u" and size in {1, 2}:
        return array.astype(np.uint8 if size == 1 else np.uint16, copy=False)
    if kind != "f":
        raise BadInputError(f"an array of {array.dtype}", expected=_TYPES, fix="convert it with astype")
    least, most = float(array.min()), float(array.max())
    if not 0 <= least <= most <= 1:
        raise BadInputError(f"floats from {least:g} to {most:g}", expected="0 to 1", fix="scale or clip them")
    levels: Picture = (array.astype(np.float64) * 0xFFFF).round().astype(np.uint16)
    return levels
