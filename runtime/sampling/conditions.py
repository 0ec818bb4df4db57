"""What `prepare` makes of a picture and its prompts, kept until the steps have used it.

`prepare` and `step` meet by the names of their tensors. Those with the axis of the time steps depend on the
prompts and the schedule; all others have one row for each branch and picture.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Engine
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.manifest import ModelCard
from dit4sr.runtime.prompt.embedding import Embedding
from dit4sr.runtime.sampling.positions import sine_cosine_positions
from dit4sr.runtime.sampling.tiles import Tile

Floats = NDArray[np.float32]

SPILL = 1 << 30
"""Bytes above which tiles' tensors go to a temporary file: 2 GB for a 4096² picture at full size."""

LOOP_INPUTS = {"latent", "previous_velocity", "guidance", "coefficients", "positions"}
"""Inputs of `step` that the loop provides; all others are `prepare`'s."""


@dataclass(frozen=True)
class Conditions:
    """Everything a picture is restored by; the first axis is the branches, negative before positive."""

    latent: Floats
    """The low-resolution picture's scaled latent ``[branches, channels, h, w]``."""
    prompts: Sequence[Embedding]
    timesteps: Floats

    @property
    def branches(self) -> int:
        """Two with guidance, one without."""
        return len(self.prompts)


class Preparation:
    """`prepare` for one picture, and which of its tensors are whose."""

    def __init__(self, engine: Engine, backend: Backend, conditions: Conditions, positions: Array) -> None:
        self._context, self._backend, self._conditions = engine.context(), backend, conditions
        [steps] = [spec.shape[0] for spec in engine.inputs if spec.name == "timesteps"]
        if isinstance(steps, int) and steps != len(conditions.timesteps):
            raise IncompatibleError(
                f"this bundle is fixed to {steps} steps",
                expected=str(len(conditions.timesteps)),
                fix=f"use --steps {steps}, or export without --static",
            )
        self._is_fixed = isinstance(steps, int)
        self.of_steps = {spec.name for spec in engine.outputs if spec.shape[0] == steps}
        self._inputs = {
            "text": backend.upload(np.stack([prompt.text for prompt in conditions.prompts])),
            "pooled": backend.upload(np.stack([prompt.pooled for prompt in conditions.prompts])),
            "positions": positions,
        }

    def run(self, tile: Tile, *, all_steps: bool = True) -> dict[str, Array]:
        """Tensors of one tile. The steps' are the same for all tiles, so only one tile need ask for all."""
        latent, timesteps = tile.crop(self._conditions.latent), self._conditions.timesteps
        if not all_steps and not self._is_fixed:
            timesteps = timesteps[:1]
        upload = self._backend.upload
        return self._context.run(
            {**self._inputs, "condition": upload(latent), "timesteps": upload(timesteps)}
        )


class Shelf:
    """Tensors of all tiles on the host; what every tile shares is kept once."""

    def __init__(self, tiles: int) -> None:
        self._tiles = tiles
        self._own: dict[str, Floats] = {}
        self.shared: dict[str, Floats] = {}

    def put(self, index: int, tensors: dict[str, Floats]) -> None:
        """Keep a tile's tensors; tiles come in order."""
        for name, values in tensors.items():
            if index == 0:
                self.shared[name] = values.copy()
            elif name in self._own:
                self._own[name][index] = values
            elif not np.array_equal(values, self.shared[name]):
                own = self._own[name] = _roomy((self._tiles, *values.shape))
                own[:index] = self.shared.pop(name)
                own[index] = values

    def get(self, index: int) -> dict[str, Floats]:
        """The tensors of a tile that not all tiles share."""
        return {name: values[index] for name, values in self._own.items()}


def grid_positions(card: ModelCard, height: int, width: int) -> Floats:
    """The position table's crop for a latent of this size."""
    table = card.positions
    if table is None:
        raise IncompatibleError(
            "an engine reads positions, of which the model card says nothing", fix="export the bundle anew"
        )
    return sine_cosine_positions(
        (height // card.patch_size, width // card.patch_size),
        width=table.width,
        table_size=table.table_size,
        base_size=table.base_size,
    )


def check_wiring(step: Engine, prepared: set[str]) -> None:
    """Every input of `step` has a source."""
    if missing := sorted({spec.name for spec in step.inputs} - LOOP_INPUTS - prepared):
        raise IncompatibleError(
            f"step reads {missing[0]!r}, which prepare does not make", fix="export the bundle anew"
        )


def _roomy(shape: tuple[int, ...]) -> Floats:
    if math.prod(shape) * np.dtype(np.float32).itemsize <= SPILL:
        return np.empty(shape, dtype=np.float32)
    # The mapping keeps the unnamed file alive, and the kernel may write its pages out.
    with tempfile.TemporaryFile(prefix="dit4sr-") as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
