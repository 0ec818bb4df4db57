"""What is measured: a picture of some size, so many steps, and the axes that this gives every graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.axes import axis_length
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.manifest import TensorSpec


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
    patch: int
    factor: int

    @classmethod
    def of(
        cls, bundle: Bundle, *, pixels: tuple[int, int], steps: int, branches: int, images: int = 1
    ) -> Workload:
        """The workload of restored pictures of ``pixels``, height and width."""
        card = bundle.card
        unit = card.vae_factor * card.patch_size
        if any(side < unit or side % unit for side in pixels):
            raise BadInputError(
                f"a picture of {pixels[0]}×{pixels[1]}", expected=f"sides that are multiples of {unit}"
            )
        height, width = (side // card.vae_factor for side in pixels)
        return cls(
            height, width, images, branches, text_rows(bundle), steps, card.patch_size, card.vae_factor
        )

    @property
    def rows(self) -> int:
        """How many rows the network computes: branches times images."""
        return self.branches * self.images

    @property
    def sizes(self) -> dict[str, int]:
        """The length of every symbolic axis, by name."""
        return {
            "images": self.images,
            "branches": self.branches,
            "rows": self.rows,
            "height": self.height,
            "width": self.width,
            "pixel_height": self.height * self.factor,
            "pixel_width": self.width * self.factor,
            "tokens": (self.height // self.patch) * (self.width // self.patch),
            "text": self.text,
            "steps": self.steps,
        }

    def arrays(self, specs: Sequence[TensorSpec]) -> dict[str, NDArray[np.float32]]:
        """Seeded inputs for a graph: small numbers, which no layer turns into anything large."""
        noise = np.random.default_rng(0)
        return {spec.name: 0.1 * noise.standard_normal(self.shape(spec), dtype=np.float32) for spec in specs}

    def shape(self, spec: TensorSpec) -> tuple[int, ...]:
        """The shape that an input or output of a graph has for this workload."""
        sizes = self.sizes
        return tuple(axis if isinstance(axis, int) else axis_length(axis, sizes) for axis in spec.shape)


def text_rows(bundle: Bundle) -> int:
    """How many rows of text: those of the stored prompts if there are any, else the bundle's own number."""
    if "positive" in bundle.manifest.embeddings:
        return int(bundle.embedding("positive")[0].shape[0])
    return bundle.card.text_tokens
