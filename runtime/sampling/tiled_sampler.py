"""From noise to a latent, in many tiles: each step restores all tiles and blends their velocities.

The network sees one tile, or a few, at a time, always at the size it was trained on; the solver's update is
made here, once for the whole latent, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.sampling.conditions import (
    LOOP_INPUTS,
    Conditions,
    GridPositions,
    Preparation,
    check_wiring,
    read_by,
)
from dit4sr.runtime.sampling.lighter import Lighter, different, engines_of_runs
from dit4sr.runtime.sampling.sampler import Tick
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.tile_buffers import TileBuffers
from dit4sr.runtime.sampling.tile_conditions import TileConditions
from dit4sr.runtime.sampling.tiles import Blend, Tiling

Floats = NDArray[np.float32]


class TiledSampler:
    """Restores a latent in overlapping tiles, up to ``batch`` of them in one run of the engine."""

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
        self._positions = GridPositions(backend, card, tiling.tile_height, tiling.tile_width)
        self._tile_conditions = TileConditions(len(tiling.tiles))
        self._of_steps = TileConditions(len(tiling.tiles))
        indices = range(len(tiling.tiles))
        self._batches = [indices[start : start + batch] for start in range(0, len(indices), batch)]

    def prepare(self, engine: Engine) -> None:
        """Run `prepare` for every tile and keep its results on the host."""
        preparation = Preparation(engine, self._backend, self._conditions, self._positions)
        # A tile that is prompted by itself has steps of its own; else those of one tile are all tiles'.
        is_told_apart = bool(self._conditions.seen)
        for index, tile in enumerate(self._tiling.tiles):
            has_steps = index == 0 or is_told_apart
            results = preparation.run(tile, all_steps=has_steps)
            tensors = {name: self._backend.download(array) for name, array in results.items()}
            of_steps = {name: tensors.pop(name) for name in preparation.of_steps}
            if has_steps:
                self._of_steps.put(index, of_steps)
            self._tile_conditions.put(index, tensors)

    def sample(self, engine: Engine, noise: Floats, tick: Tick, lighter: Lighter | None = None) -> Floats:
        """Run every step on all tiles, blend their velocities, then make the solver's update."""
        conditions, steps = self._tile_conditions, self._of_steps
        # What decides which step runs hangs on the schedule, so it is no tile's own.
        engines = engines_of_runs(engine, lighter, steps.shared, self._schedule.steps)
        known = {*conditions.shared, *conditions.get(0), *steps.shared, *steps.get(0)}
        for each in different(engines).values():
            check_wiring("step", each, {*LOOP_INPUTS, *known})
        schedule, blend = self._schedule, Blend(self._tiling, self._channels)
        latent, velocity = noise.copy(), blend.picture
        previous, scratch = np.zeros_like(latent), np.empty_like(latent)
        contexts = {key: each.context() for key, each in different(engines).items()}
        sizes = {len(batch) for batch in self._batches}
        all_buffers = {
            key: {size: self._buffers(each, size) for size in sizes}
            for key, each in different(engines).items()
        }

        for step, weights in enumerate(schedule.weights(engine)):
            guidance = self._backend.upload(weights)
            context, buffers = contexts[id(engines[step])], all_buffers[id(engines[step])]
            of_step = _at(step, read_by(engines[step], steps.shared))
            blend.clear()
            for arrays in buffers.values():
                arrays.set_step(of_step)
            for batch in self._batches:
                tiles = [self._tiling.tiles[index] for index in batch]
                crops = [tile.crop(latent) for tile in tiles]
                own = [conditions.get(index) | _at(step, steps.get(index)) for index in batch]
                tensors = [read_by(engines[step], each) for each in own]
                velocities = buffers[len(batch)].run(context, crops, tensors, guidance)
                for tile, values in zip(tiles, velocities, strict=True):
                    blend.add(tile, values)
                tick()
            a, b, c = schedule.coefficients[step]
            latent *= a
            latent += np.multiply(velocity, b, out=scratch)
            latent += np.multiply(previous, c, out=scratch)
            np.copyto(previous, velocity)
            schedule.check(latent, step)
        return latent

    def _buffers(self, engine: Engine, images: int) -> TileBuffers:
        """Make the arrays for a run on so many tiles, with every tensor that the engine reads."""
        conditions, steps = self._tile_conditions, self._of_steps
        return TileBuffers(
            self._backend,
            images=images,
            shape=(self._channels, self._tiling.tile_height, self._tiling.tile_width),
            shared=read_by(engine, conditions.shared),
            own=read_by(engine, conditions.get(0) | _at(0, steps.get(0))),
            of_steps=read_by(engine, _at(0, steps.shared)),
            fixed=self._positions.asked_by(engine),
        )


def _at(step: int, of_steps: Mapping[str, Floats]) -> dict[str, Floats]:
    """The tensors of one step."""
    return {name: values[step] for name, values in of_steps.items()}
