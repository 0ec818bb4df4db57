"""How often a JPEG file goes over its picture.

A progressive file refines it in about ten scans. Nothing limits their number: ten bytes ask for one more, and
the decoder visits every block for each.
"""

from __future__ import annotations

import re

from dit4sr.runtime.errors import BadInputError

MOST_SCANS = 100
"""What TIFF's library allows of JPEG as well."""

_START, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""A byte of ones and what it announces; within a scan, zeros and restarts belong to the data."""
_WITHOUT_LENGTH = {0x01, 0xD8}


def refuse_many_scans(content: bytes, name: str) -> None:
    """Refuse a JPEG file that goes over its picture so often that somebody must have meant harm."""
    if content.startswith(_START) and (scans := count_scans(content)) > MOST_SCANS:
        raise BadInputError(f"{name} is drawn in {scans:,} scans", expected=f"{MOST_SCANS} at most")


def count_scans(content: bytes) -> int:
    """The scans of a JPEG file's first picture."""
    scans, place = 0, len(_START)
    while (marker := _MARKER.search(content, place)) and marker[1][0] != _END:
        place = marker.end()
        scans += marker[1][0] == _SCAN
        if marker[1][0] not in _WITHOUT_LENGTH:
            place += int.from_bytes(content[place : place + 2], "big")
    return scans
