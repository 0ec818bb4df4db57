"""Arrays that a run of `step` on some tiles reads and writes, made once and filled anew for each run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Context

Floats = NDArray[np.float32]


class TileBuffers:
    """Inputs and outputs of `step` for a fixed number of tiles."""

    def __init__(
        self,
        backend: Backend,
        *,
        images: int,
        shape: tuple[int, ...],
        shared: Mapping[str, Floats],
        own: Mapping[str, Floats],
        of_steps: Mapping[str, Floats],
        fixed: Mapping[str, Array],
    ) -> None:
        """Make room for ``images`` tiles of one ``shape``.

        ``shared`` are the tensors of all tiles; ``own`` and ``of_steps`` are examples of what each tile and
        each step will bring; ``fixed`` are further inputs that never change.
        """
        self._backend, self._images, self._own = backend, images, tuple(own)
        tile = (images, *shape)
        self._latent_values = np.empty(tile, dtype=np.float32)
        # Where engines read the host's memory, these are the same memory.
        self._latent = backend.upload(self._latent_values)
        self._next, self._velocity = backend.empty(tile), backend.empty(tile)
        self._fixed = {
            **fixed,
            # The velocity is what is wanted; the update is made for the whole latent.
            "previous_velocity": backend.upload(np.zeros(tile, dtype=np.float32)),
            "coefficients": backend.upload(np.array([1, 0, 0], dtype=np.float32)),
        }
        self._values = {
            name: np.empty((len(values) * images, *values.shape[1:]), dtype=np.float32)
            for name, values in {**shared, **own, **of_steps}.items()
        }
        self._arrays = {name: backend.upload(values) for name, values in self._values.items()}
        for name, values in shared.items():
            self._put(name, [values] * images)

    def set_step(self, tensors: Mapping[str, Floats]) -> None:
        """Fill in the tensors of a step."""
        for name, values in tensors.items():
            self._put(name, [values] * self._images)

    def run(
        self,
        context: Context,
        latents: list[Floats],
        tensors: list[dict[str, Floats]],
        guidance: Array,
    ) -> Floats:
        """Velocities ``[images, channels, h, w]`` of some tiles, from their latents and own tensors."""
        np.stack(latents, out=self._latent_values)
        self._backend.write(self._latent, self._latent_values)
        for name in self._own:
            self._put(name, [each[name] for each in tensors])
        rows = guidance.shape[0] * self._images
        context.run(
            {
                **{name: array[-rows:] for name, array in self._arrays.items()},
                **self._fixed,
                "latent": self._latent,
                "guidance": guidance,
            },
            {"next_latent": self._next, "velocity": self._velocity},
        )
        return self._backend.download(self._velocity)

    def _put(self, name: str, values: list[Floats]) -> None:
        """Fill the rows of a batch: all negatives, then all positives."""
        target = self._values[name]
        # [images, branches, …] to [branches · images, …]
        for image, each in enumerate(values):
            target[image :: self._images] = each
        self._backend.write(self._arrays[name], target)
