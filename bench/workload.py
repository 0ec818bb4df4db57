"""What is measured: a picture of some size, so many steps, and the axes that this gives every graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.axes import axis_length, axis_sizes, latent_size
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import ModelCard, TensorSpec


@dataclass(frozen=True)
class Workload:
    """One run of the network: so many pictures of one size, guided or not, with so many rows of text."""

    height: int
    width: int
    """Height and width are those of the latent."""
    images: int
    branches: int
    text: int
    steps: int
    card: ModelCard

    @classmethod
    def of(
        cls, bundle: Bundle, *, pixels: tuple[int, int], steps: int, branches: int, images: int = 1
    ) -> Workload:
        """The workload of restored pictures of ``pixels``, height and width."""
        height, width = latent_size(bundle.card, pixels)
        return cls(height, width, images, branches, text_rows(bundle), steps, bundle.card)

    @property
    def rows(self) -> int:
        """How many rows the network computes: branches times images."""
        return self.branches * self.images

    @property
    def sizes(self) -> dict[str, int]:
        """The length of every symbolic axis, by name."""
        return axis_sizes(
            self.card,
            latent=(self.height, self.width),
            images=self.images,
            branches=self.branches,
            text=self.text,
            steps=self.steps,
        )

    def arrays(self, specs: Sequence[TensorSpec]) -> dict[str, NDArray[np.float32]]:
        """Seeded inputs for a graph: small numbers, which no layer turns into anything large."""
        noise = np.random.default_rng(0)
        return {spec.name: 0.1 * noise.standard_normal(self.shape(spec), dtype=np.float32) for spec in specs}

    def shape(self, spec: TensorSpec) -> tuple[int, ...]:
        """The shape that an input or output of a graph has for this workload."""
        sizes = self.sizes
        return tuple(axis_length(axis, sizes) for axis in spec.shape)


def text_rows(bundle: Bundle) -> int:
    """Rows of text: those of the stored prompts where words cannot be read, else the bundle's own number."""
    stored = bundle.embedding("positive") if "positive" in bundle.manifest.embeddings else {}
    return len(stored["text"]) if "text" in stored else bundle.card.text_tokens
