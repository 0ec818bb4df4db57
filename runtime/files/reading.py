"""Files as they are read: digests of any size."""

from __future__ import annotations

import hashlib
from io import FileIO
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 22


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return sha256_of_open(file)


def sha256_of_open(file: BinaryIO | FileIO) -> str:
    """SHA-256 of what is left to read of a file that is open."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
