"""From noise to a latent, in many tiles: each step restores all tiles and blends their velocities.

The network sees one tile, or a few, at a time, always at the size it was trained on; the solver's update is
made here, once for the whole latent, in float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Context, Engine
from dit4sr.runtime.manifest import ModelCard
from dit4sr.runtime.sampling.conditions import Conditions, Preparation, Shelf, check_wiring, grid_positions
from dit4sr.runtime.sampling.sampler import Tick
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.tiles import Blend, Tiling

Floats = NDArray[np.float32]


class TiledSampler:
    """A picture in overlapping tiles, up to ``batch`` of them in one run of the engine."""

    def __init__(
        self,
        backend: Backend,
        card: ModelCard,
        schedule: SamplingSchedule,
        conditions: Conditions,
        *,
        tiling: Tiling,
        batch: int,
    ) -> None:
        self._backend, self._schedule, self._conditions, self._tiling = backend, schedule, conditions, tiling
        self._channels = card.latent_channels
        self._positions = backend.upload(grid_positions(card, tiling.tile_height, tiling.tile_width))
        self._shelf = Shelf(len(tiling.tiles))
        self._of_steps: dict[str, Floats] = {}
        indices = range(len(tiling.tiles))
        self._batches = [indices[start : start + batch] for start in range(0, len(indices), batch)]

    def prepare(self, engine: Engine) -> None:
        """Run `prepare` for every tile."""
        preparation = Preparation(engine, self._backend, self._conditions, self._positions)
        for index, tile in enumerate(self._tiling.tiles):
            results = preparation.run(tile, all_steps=index == 0)
            tensors = {name: self._backend.download(array) for name, array in results.items()}
            of_steps = {name: tensors.pop(name) for name in preparation.of_steps}
            if index == 0:
                self._of_steps = of_steps
            self._shelf.put(index, tensors)

    def sample(self, engine: Engine, noise: Floats, tick: Tick) -> Floats:
        """Every step: all tiles, blended, then the solver's update."""
        check_wiring(engine, {*self._of_steps, *self._shelf.shared, *self._shelf.get(0)})
        schedule, blend = self._schedule, Blend(self._tiling, self._channels)
        latent, velocity = noise.copy(), blend.picture
        previous, scratch = np.zeros_like(latent), np.empty_like(latent)
        context = engine.context()
        desks = {len(batch): self._desk(len(batch)) for batch in self._batches}

        for step, weights in enumerate(schedule.weights(engine)):
            guidance = self._backend.upload(weights)
            blend.clear()
            for desk in desks.values():
                desk.set_step({name: values[step] for name, values in self._of_steps.items()})
            for batch in self._batches:
                tiles = [self._tiling.tiles[index] for index in batch]
                crops = [tile.crop(latent) for tile in tiles]
                tensors = [self._shelf.get(index) for index in batch]
                for tile, values in zip(
                    tiles, desks[len(batch)].run(context, crops, tensors, guidance), strict=True
                ):
                    blend.add(tile, values)
                tick()
            a, b, c = schedule.coefficients[step]
            latent *= a
            latent += np.multiply(velocity, b, out=scratch)
            latent += np.multiply(previous, c, out=scratch)
            np.copyto(previous, velocity)
            schedule.check(latent, step)
        return latent

    def _desk(self, images: int) -> Desk:
        return Desk(
            self._backend,
            images=images,
            shape=(self._channels, self._tiling.tile_height, self._tiling.tile_width),
            rows={**self._shelf.shared, **self._shelf.get(0)},
            steps={name: values[0] for name, values in self._of_steps.items()},
            shared=self._shelf.shared,
            positions=self._positions,
        )


class Desk:
    """Buffers for a fixed number of tiles, filled anew for each run of the engine."""

    def __init__(
        self,
        backend: Backend,
        *,
        images: int,
        shape: tuple[int, ...],
        rows: dict[str, Floats],
        steps: dict[str, Floats],
        shared: dict[str, Floats],
        positions: Array,
    ) -> None:
        self._backend, self._images = backend, images
        tile = (images, *shape)
        self._latent_values = np.empty(tile, dtype=np.float32)
        # Where engines read the host's memory, these are the same memory.
        self._latent = backend.upload(self._latent_values)
        self._next, self._velocity = backend.empty(tile), backend.empty(tile)
        self._fixed = {
            "positions": positions,
            # The velocity is what is wanted; the update is made for the whole latent.
            "previous_velocity": backend.upload(np.zeros(tile, dtype=np.float32)),
            "coefficients": backend.upload(np.array([1, 0, 0], dtype=np.float32)),
        }
        self._values = {
            name: np.empty((len(values) * images, *values.shape[1:]), dtype=np.float32)
            for name, values in {**rows, **steps}.items()
        }
        self._arrays = {name: backend.upload(values) for name, values in self._values.items()}
        for name, values in shared.items():
            self._put(name, [values] * images)

    def set_step(self, tensors: dict[str, Floats]) -> None:
        """Bring in the tensors of a step."""
        for name, values in tensors.items():
            self._put(name, [values] * self._images)

    def run(
        self,
        context: Context,
        latents: list[Floats],
        tensors: list[dict[str, Floats]],
        guidance: Array,
    ) -> Floats:
        """Velocities ``[images, channels, h, w]`` of some tiles."""
        np.stack(latents, out=self._latent_values)
        self._backend.write(self._latent, self._latent_values)
        for name in tensors[0]:
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
        """Rows of a batch: all negatives, then all positives."""
        target = self._values[name]
        # [images, branches, …] to [branches · images, …]
        for image, each in enumerate(values):
            target[image :: self._images] = each
        self._backend.write(self._arrays[name], target)
