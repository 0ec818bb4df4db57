"""One tensor in a ``.npy`` file of a bundle: float32, finite, dense, and nothing else."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray

MOST_AXES = 4


def read_tensor(content: bytes) -> NDArray[np.float32]:
    """Read a stored tensor; a `ValueError` says why it is none.

    The header is looked at before anything is made by it: it may announce terabytes, objects or text. An
    archive of several arrays is no tensor either.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, is_fortran, dtype = read_header[version](file)
    except Exception as error:
        raise ValueError(f"it is no .npy file ({type(error).__name__})") from None
    if dtype != np.dtype("<f4") or is_fortran or not 1 <= len(shape) <= MOST_AXES:
        raise ValueError(f"it holds {dtype} of shape {shape}, not float32 of one to {MOST_AXES} axes")
    if min(shape) < 1 or 4 * math.prod(shape) != len(content) - file.tell():
        raise ValueError(f"it does not hold the {'×'.join(map(str, shape))} numbers that it announces")
    values = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape).copy()
    if not np.isfinite(values).all():
        raise ValueError("some of its numbers are not finite")
    return values
