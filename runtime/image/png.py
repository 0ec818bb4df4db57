"""PNG with 16 bits a channel, in colour and with transparency, for which Pillow has no mode."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By the number of channels: grey, grey with transparency, colours, colours with transparency."""
_UP = 2
"""Filter of a row: its bytes less those of the row above."""
_BAND = 64


def encode_png(channels: NDArray[np.unsignedinteger[Any]], *, exif: bytes = b"", icc: bytes = b"") -> bytes:
    """Return the bytes of a PNG that holds ``[height, width, channels]`` numbers of 16 bits."""
    height, width, count = channels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[count], 0, 0, 0)
    parts = [_SIGNATURE, _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [_chunk(b"IDAT", b"".join(_compressed(channels))), _chunk(b"IEND", b"")]
    return b"".join(parts)


def with_grey_spread_out(content: bytes) -> bytes | None:
    """Let a PNG of 16-bit grey with transparency pass for one whose four channels are those numbers' bytes.

    None if it is another. Nothing but its header changes, for a pixel has four bytes in both.
    """
    if content[:16] != _SIGNATURE + b"\0\0\0\x0dIHDR" or content[24:26] != bytes([16, _COLOUR_TYPES[2]]):
        return None
    header = content[16:24] + bytes([8, _COLOUR_TYPES[4]]) + content[26:29]
    return content[:8] + _chunk(b"IHDR", header) + content[33:]


def _compressed(channels: NDArray[np.unsignedinteger[Any]]) -> Iterator[bytes]:
    """The rows, filtered and compressed, band by band: a copy of the whole would weigh as much as it."""
    deflate = zlib.compressobj()
    height, width, count = channels.shape
    above = np.zeros(width * count * 2, np.uint8)
    for top in range(0, height, _BAND):
        band = np.ascontiguousarray(channels[top : top + _BAND], ">u2")
        rows = np.vstack([above, band.view(np.uint8).reshape(len(band), -1)])
        lines = np.full((len(band), rows.shape[1] + 1), _UP, np.uint8)
        np.subtract(rows[1:], rows[:-1], out=lines[:, 1:])
        above = rows[-1]
        yield deflate.compress(lines.tobytes())
    yield deflate.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
