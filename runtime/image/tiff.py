"""TIFF with EXIF, of 8 or 16 bits a channel: Pillow would drop the one, and has no mode for the other."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from dit4sr.runtime.image.metadata import tags_of

_DEFLATE, _DIFFERENCES, _UNASSOCIATED = 8, 2, 2
_BLACK_IS_ZERO, _RGB = 1, 2
_BAND = 64


def encode_tiff(channels: NDArray[np.unsignedinteger[Any]], *, exif: bytes = b"", icc: bytes = b"") -> bytes:
    """Return the bytes of a TIFF that holds ``[height, width, channels]`` levels."""
    height, width, count = channels.shape
    pixels = b"".join(_compressed(channels))
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    tags = (tags_of(exif) if exif else {}) | {
        TiffImagePlugin.IMAGEWIDTH: width,
        TiffImagePlugin.IMAGELENGTH: height,
        TiffImagePlugin.BITSPERSAMPLE: (8 * channels.itemsize,) * count,
        TiffImagePlugin.SAMPLESPERPIXEL: count,
        TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: _RGB if count >= 3 else _BLACK_IS_ZERO,
        TiffImagePlugin.COMPRESSION: _DEFLATE,
        TiffImagePlugin.PREDICTOR: _DIFFERENCES,
        TiffImagePlugin.ROWSPERSTRIP: height,
        TiffImagePlugin.STRIPBYTECOUNTS: len(pixels),
        TiffImagePlugin.STRIPOFFSETS: 0,  # from the end of the directory; saving it makes that the file's
        TiffImagePlugin.PLANAR_CONFIGURATION: 1,
    }
    if count in {2, 4}:
        tags[TiffImagePlugin.EXTRASAMPLES] = _UNASSOCIATED
    if icc:
        tags[TiffImagePlugin.ICCPROFILE] = icc
    for tag, value in tags.items():
        directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    file.write(pixels)
    return file.getvalue()


def _compressed(channels: NDArray[np.unsignedinteger[Any]]) -> Iterator[bytes]:
    """The rows as differences from left to right, compressed, band by band."""
    deflate = zlib.compressobj()
    for top in range(0, len(channels), _BAND):
        band = channels[top : top + _BAND].astype(channels.dtype.newbyteorder("<"))
        band[:, 1:] -= channels[top : top + _BAND, :-1]
        yield deflate.compress(band.tobytes())
    yield deflate.flush()
