"""Pictures of 16 bits a channel, of which Pillow's colour modes hold the upper eight."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.png import with_grey_spread_out

_OTHER_ORDER = {"B": "L", "L": "B", "N": "L" if sys.byteorder == "big" else "B"}
"""Pillow takes the upper byte of every pair; told the other order of bytes, it takes the lower one."""
_BITS_PER_SAMPLE, _PLANAR_CONFIGURATION = 258, 284
_SEPARATE = 2


def content_of(image: Image.Image) -> bytes:
    """The file that an image was opened from and not yet decoded; empty for any other image."""
    file = getattr(image, "fp", None)
    if file is None or not _tiles(image) or image.tell():
        return b""
    place = file.tell()
    file.seek(0)
    content: bytes = file.read()
    file.seek(place)
    return content


def bytes_apart(image: Image.Image, content: bytes) -> list[Image.Image]:
    """The upper and the lower bytes of a picture just opened, each as a picture; none where it has 8 bits."""
    if spread_out := with_grey_spread_out(content):
        with Image.open(io.BytesIO(spread_out), formats=["PNG"]) as spread:
            bands = spread.split()
            halves = [Image.merge("LA", bands[first::2]) for first in (0, 1)]
            for half in halves:
                half.info.update(spread.info)
        return halves
    if stated_bits(image, content) > 8 and any(_raw_mode(tile) in set("RGBA") for tile in _tiles(image)):
        raise BadInputError(
            "a picture of more than 8 bits a channel in separate planes",
            expected="the colours of a pixel side by side",
            fix="save it again so, or compressed",
        )
    orders = [_order(tile) for tile in _tiles(image)]
    in_planes = getattr(image, "tag_v2", {}).get(_PLANAR_CONFIGURATION) == _SEPARATE
    if not content or not orders or None in orders or in_planes:
        return []
    lower = Image.open(io.BytesIO(content), formats=[str(image.format)])
    lower.tile = [_in_other_order(tile) for tile in _tiles(lower)]
    return [image, lower]


def joined(halves: Sequence[Image.Image]) -> NDArray[np.uint16]:
    """The numbers of 16 bits, turned as the picture's orientation says, from their bytes."""
    upper, lower = (np.asarray(ImageOps.exif_transpose(half)) for half in halves)
    values: NDArray[np.uint16] = upper.astype(np.uint16)
    values <<= 8
    values |= lower
    return values


def stated_bits(image: Image.Image, content: bytes) -> int:
    """How many bits a channel the file says it has, whatever Pillow makes of them; 8 without a file."""
    stated = _STATED.get(str(image.format))
    return stated(image, content) if stated and content else 8


def _bits_of_ppm(image: Image.Image, _content: bytes) -> int:
    most = max((tile.args[1] for tile in _tiles(image) if tile.codec_name == "ppm"), default=0)
    return 16 if most > 0xFF else 8


def _bits_of_jpeg2000(_image: Image.Image, content: bytes) -> int:
    sizes = content.find(b"\xff\x4f\xff\x51")
    return (content[sizes + 42] & 0x7F) + 1 if sizes >= 0 else 8


def _bits_of_avif(_image: Image.Image, content: bytes) -> int:
    flags = content[content.find(b"av1C") + 6]
    return 12 if flags & 0x20 else 10 if flags & 0x40 else 8


_STATED: dict[str, Callable[[Any, bytes], int]] = {
    "PNG": lambda _image, content: content[24],
    "TIFF": lambda image, _content: max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))),
    "PPM": _bits_of_ppm,
    "JPEG2000": _bits_of_jpeg2000,
    "AVIF": _bits_of_avif,
}


def eight_bits(values: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint8]:
    """The nearest levels of 8 bits: 257 of 16 are one of them."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", []))


def _order(tile: Any) -> str | None:
    """In what order a part of a file holds its pairs of bytes; None where it holds no pairs of colours."""
    mode, _, order = _raw_mode(tile).partition(";16")
    return order if mode in {"RGB", "RGBA"} and order in _OTHER_ORDER else None


def _raw_mode(tile: Any) -> str:
    arguments = tile.args
    return str(arguments if isinstance(arguments, str) else arguments[0] if arguments else "")


def _in_other_order(tile: Any) -> Any:
    raw = _raw_mode(tile)
    raw = raw[:-1] + _OTHER_ORDER[raw[-1]]
    return tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))
