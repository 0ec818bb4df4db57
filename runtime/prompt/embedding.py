"""A prompt as numbers, and where those are kept between pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.arrays import read_arrays
from dit4sr.runtime.files.folders import user_cache
from dit4sr.runtime.files.whole import write_whole

Embedding = Mapping[str, NDArray[np.float32]]
"""A prompt as the tensors that a network reads, by the names of its inputs.

SD3.5 reads ``text``, context rows ``[tokens, channels]``, and ``pooled``, a vector ``[channels]``.
"""


@dataclass(frozen=True)
class EmbeddingCache:
    """Embeddings on disk, by the content of prompt and encoders. Losing it costs time, nothing else."""

    folder: Path

    @classmethod
    def default(cls) -> EmbeddingCache | None:
        """The cache in the user's cache folder, or in ``DIT4SR_CACHE``; None where there is neither."""
        folder = user_cache("prompts")
        return cls(folder) if folder else None

    def get(self, key: str) -> Embedding | None:
        """Return what is stored, unless it is absent or damaged."""
        try:
            return read_arrays(self.folder / f"{key}.npz")
        except IntegrityError:
            return None

    def put(self, key: str, embedding: Embedding) -> None:
        """Store an embedding; a full or read-only disk is no reason to stop."""
        buffer, tensors = io.BytesIO(), dict[str, Any](embedding)
        np.savez(buffer, **tensors)
        with suppress(BadInputError):
            write_whole(self.folder / f"{key}.npz", buffer.getvalue(), replace=True)
