"""Photos as picture files: in 16 bits a channel where the photo has them and the format can hold them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import WRITABLE, Photo, Picture
from dit4sr.runtime.image.png import encode_png
from dit4sr.runtime.image.tiff import encode_tiff


def format_of(path: Path) -> str:
    """Pillow's name of the format that a file's ending asks for."""
    ending = path.suffix.lower().lstrip(".")
    if ending not in WRITABLE:
        raise BadInputError(f"output {path}", expected=f"a file ending in {', '.join(WRITABLE)}")
    return WRITABLE[ending]


_OF_16_BITS = ("PNG", "TIFF")
"""Formats that hold as many."""


def write_photo(photo: Photo, format_name: str, *, quality: int = 95) -> tuple[bytes, list[str]]:
    """Return the bytes of a picture file in a Pillow format, and what could not be kept."""
    lost: list[str] = []
    if photo.bits > 8 and format_name not in _OF_16_BITS:
        lost.append(f"{format_name} holds 8 bits a channel: rounded to them from {photo.bits}")
        photo = photo.in_eight_bits()
    if photo.alpha is not None and format_name == "JPEG":
        lost.append("JPEG has no transparency: laid on white")
        photo = _on_white(photo)
    for exif in dict.fromkeys([photo.exif, b""]):
        try:
            return _encoded(photo.channels, format_name, quality, exif, photo.icc), lost
        except Exception as error:
            reason = " ".join(str(error).split())
            if not exif:
                width, height = photo.size
                raise BadInputError(
                    f"{width}×{height} cannot be written as {format_name} ({reason})"
                ) from None
            lost.append(f"EXIF was dropped ({reason})")
    raise AssertionError("the last attempt returns or raises")


def _on_white(photo: Photo) -> Photo:
    assert photo.alpha is not None
    image, alpha = Image.fromarray(photo.rgb), Image.fromarray(photo.alpha)
    laid = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return replace(photo, rgb=np.asarray(laid), alpha=None)


def _encoded(channels: Picture, format_name: str, quality: int, exif: bytes, icc: bytes) -> bytes:
    planes = channels[..., None] if channels.ndim == 2 else channels
    if format_name == "TIFF":
        return encode_tiff(planes, exif=exif, icc=icc)
    if channels.dtype == np.uint16:
        return encode_png(planes, exif=exif, icc=icc)
    options: dict[str, object] = {"quality": quality} if format_name in {"JPEG", "WEBP"} else {}
    if icc:
        options["icc_profile"] = icc
    if exif:
        options["exif"] = exif
    buffer = io.BytesIO()
    Image.fromarray(channels).save(buffer, format_name, **options)
    return buffer.getvalue()
