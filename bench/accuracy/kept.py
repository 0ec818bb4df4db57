"""The timed picture as a record keeps it, so that another record's can be compared with it."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.image.photo import Picture, read_photo

MOST_SIDE = 256
"""Pixels of a side that are kept: as much as makes a record of some hundred kilobytes."""


@dataclass(frozen=True)
class KeptPicture:
    """The middle of a restored picture, without loss, and what it was made of."""

    name: str
    given: str
    """SHA-256 of the photo's pixels."""
    png: str
    """In base64."""

    @classmethod
    def of(cls, name: str, given: Picture, restored: Picture) -> KeptPicture:
        """What is kept of a picture."""
        top, left = (max(side - MOST_SIDE, 0) // 2 for side in restored.shape[:2])
        buffer = io.BytesIO()
        middle = restored[top : top + MOST_SIDE, left : left + MOST_SIDE]
        Image.fromarray(np.ascontiguousarray(middle)).save(buffer, "PNG")
        digest = hashlib.sha256(np.ascontiguousarray(given).tobytes()).hexdigest()
        return cls(name, digest, base64.b64encode(buffer.getvalue()).decode("ascii"))

    def pixels(self) -> Picture:
        """The middle of the restored picture."""
        try:
            content = base64.b64decode(self.png, validate=True)
            return read_photo(content, f"the picture {self.name}", most_pixels=MOST_SIDE**2).rgb
        except (ValueError, BadInputError) as error:
            raise IntegrityError(f"a record's picture cannot be read ({error})") from None
