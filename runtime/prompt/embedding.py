"""A prompt as numbers, and where those are kept between pictures."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """A prompt as numbers."""

    text: Floats
    """Context rows ``[tokens, channels]``."""
    pooled: Floats
    """``[channels]``."""


@dataclass(frozen=True)
class EmbeddingCache:
    """Embeddings on disk, by the content of prompt and encoders. Losing it costs time, nothing else."""

    folder: Path

    @classmethod
    def default(cls) -> EmbeddingCache:
        """The user's cache folder, or ``DIT4SR_CACHE``."""
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(os.environ.get("DIT4SR_CACHE") or Path(base) / "dit4sr") / "prompts")

    def get(self, key: str) -> Embedding | None:
        """What is stored, unless it is absent or damaged."""
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as arrays:
                return Embedding(arrays["text"], arrays["pooled"])
        except Exception:
            return None  # np.load meets broken files with many kinds of errors; all mean the same

    def put(self, key: str, embedding: Embedding) -> None:
        """Store; a full or read-only disk is no reason to stop."""
        buffer = io.BytesIO()
        np.savez(buffer, text=embedding.text, pooled=embedding.pooled)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".partial", delete=False) as file:
                file.write(buffer.getbuffer())
            Path(file.name).replace(self.folder / f"{key}.npz")
        except OSError:
            return
