"""EXIF: what of it belongs to a restored picture, wherever the photo's file kept it."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

OF_THE_FILE = frozenset(
    (
        *range(254, 260),  # kind, width, height, bits, compression
        *(262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292, 293),
        *(301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 338, 339, 340, 341, 347),
        *range(512, 533),  # an embedded JPEG, and how YCbCr is laid out
        *(700, 33723, 34377, 34675),  # XMP, IPTC and Photoshop's resources, which go by no EXIF; the profile
    )
)
"""Tags that say how one file holds its pixels, its orientation included: those of another are its own."""


def exif_of(image: Image.Image) -> bytes:
    """EXIF of a decoded picture, with the place and the camera's data, and without what was its file's.

    A TIFF has no block of EXIF: its tags lie among those of the file, and its directories elsewhere in it.
    """
    found, kept = image.getexif(), Image.Exif()
    for tag, value in found.items():
        if tag not in OF_THE_FILE:
            kept[tag] = value
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        kept.pop(directory, None)  # where it lay in the file that was read
        if tags := _directory(found, directory):
            kept[directory] = tags
    return kept.tobytes() if kept else b""


def tags_of(exif: bytes) -> dict[int, Any]:
    """The tags of a block of EXIF, directories nested in it as dictionaries."""
    block = Image.Exif()
    block.load(exif)
    tags = dict(block.items())
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if directory in tags:
            tags[directory] = _directory(block, directory)
    return tags


def _directory(exif: Image.Exif, directory: int) -> dict[int, Any]:
    tags = dict(exif.get_ifd(directory))
    if ExifTags.IFD.Interop in tags:
        tags[ExifTags.IFD.Interop] = dict(exif.get_ifd(ExifTags.IFD.Interop))
    return tags
