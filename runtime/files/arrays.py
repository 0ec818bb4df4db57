"""Arrays that were kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import IntegrityError
from dit4sr.runtime.files.reading import opened

LARGEST_ARRAYS = 4 << 30
"""Bytes of all arrays of a file together, unpacked."""


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Every array of an ``.npz`` file by name."""
    with opened(file, most=LARGEST_ARRAYS, failure=IntegrityError) as stream:
        try:
            stored = np.load(stream, allow_pickle=False)
            # Packed, a thousand times as much would pass the bound of the file.
            if sum(entry.file_size for entry in stored.zip.infolist()) > LARGEST_ARRAYS:
                raise ValueError(f"it unpacks to more than {LARGEST_ARRAYS:,} bytes")
            return {name: stored[name] for name in stored.files}
        except MemoryError:
            raise
        except Exception as error:
            # What the parsers of archives and arrays raise over damaged bytes is anybody's guess.
            raise IntegrityError(f"{file} holds no arrays, or damaged ones ({error})") from None
