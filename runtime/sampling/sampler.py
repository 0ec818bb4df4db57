"""From noise to a latent, in one tile: the loop stays on the device.

Each step is one call of the engine, guidance and solver included, into buffers that take turns. Everything
a step reads has its address before the loop begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Engine
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.errors import AccuracyError
from dit4sr.runtime.sampling.conditions import (
    LOOP_INPUTS,
    Conditions,
    GridPositions,
    Preparation,
    check_wiring,
    read_by,
)
from dit4sr.runtime.sampling.lighter import Lighter, different, engines_of_runs
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.tiles import Tile

Floats = NDArray[np.float32]
Tick = Callable[[], None]
"""Called after every run of an engine; stops the work by raising."""


class Sampler(Protocol):
    """Restores a latent in two phases, so that the weights of the first can be dropped before the second."""

    def prepare(self, engine: Engine) -> None:
        """Run `prepare` and keep its results."""
        ...

    def sample(self, engine: Engine, noise: Floats, tick: Tick, lighter: Lighter | None = None) -> Floats:
        """Run `step`, or its ``lighter`` form, from ``noise`` ``[channels, h, w]`` to the restored latent."""
        ...


class WholeSampler:
    """Restores a latent in one tile."""

    def __init__(
        self, backend: Backend, card: ModelCard, schedule: SamplingSchedule, conditions: Conditions
    ) -> None:
        self._backend, self._schedule, self._conditions = backend, schedule, conditions
        height, width = conditions.latent.shape[2:]
        self._tile = Tile(0, 0, height, width)
        self._positions = GridPositions(backend, card, height, width)
        self._of_rows: dict[str, Array] = {}
        self._of_steps: dict[str, Array] = {}

    def prepare(self, engine: Engine) -> None:
        """Run `prepare`, whose results stay on the device."""
        preparation = Preparation(engine, self._backend, self._conditions, self._positions)
        tensors = preparation.run(self._tile)
        self._of_steps = {name: tensors.pop(name) for name in preparation.of_steps}
        self._of_rows = tensors

    def sample(self, engine: Engine, noise: Floats, tick: Tick, lighter: Lighter | None = None) -> Floats:
        """Run the loop over `step`. On the host every step is checked as it is made.

        On a device a check would be a copy, so only the end is checked; if it is bad, the loop is run again,
        checked, to name the step.
        """
        engines = self._engines(engine, lighter)
        for each in different(engines).values():
            check_wiring("step", each, {*LOOP_INPUTS, *self._of_rows, *self._of_steps})
        on_host = self._backend.device == "cpu"
        latent = self._loop(engines, noise, tick, watched=on_host)
        try:
            self._schedule.check(latent, self._schedule.steps - 1)
        except AccuracyError:
            self._loop(engines, noise, lambda: None, watched=True)
            raise
        return latent

    def _engines(self, engine: Engine, lighter: Lighter | None) -> list[Engine]:
        """The engine of every run."""
        asked = [lighter.where_zero] if lighter else []
        weights = {name: self._backend.download(self._of_steps[name]) for name in asked}
        return engines_of_runs(engine, lighter, weights, self._schedule.steps)

    def _loop(self, engines: list[Engine], noise: Floats, tick: Tick, *, watched: bool) -> Floats:
        schedule, download = self._schedule, self._backend.download
        latents, velocities = self._buffers(noise)
        inputs, outputs = self._steps(engines, latents, velocities)
        contexts = {key: engine.context() for key, engine in different(engines).items()}
        for step, engine in enumerate(engines):
            contexts[id(engine)].run(inputs[step], outputs[step])
            if watched:
                schedule.check(download(latents[(step + 1) % 2]), step)
            tick()
        final: Floats = download(latents[schedule.steps % 2])[0]
        return final

    def _buffers(self, noise: Floats) -> tuple[list[Array], list[Array]]:
        """Make latents and velocities, two of each: one is read while the other is written."""
        upload, empty = self._backend.upload, self._backend.empty
        shape = (1, *noise.shape)
        first = upload(noise[None].copy())  # the loop will write over it
        return [first, empty(shape)], [upload(np.zeros(shape, dtype=np.float32)), empty(shape)]

    def _steps(
        self, engines: list[Engine], latents: list[Array], velocities: list[Array]
    ) -> tuple[list[dict[str, Array]], list[dict[str, Array]]]:
        """What each step reads, and what it writes."""
        schedule, upload = self._schedule, self._backend.upload
        weights = schedule.weights(engines[0])
        arrays = {values.tobytes(): upload(values) for values in weights}
        coefficients = upload(schedule.coefficients)
        # Branches come negative first, so the positive alone is the last rows.
        fixed = {
            (key, count): {
                **{name: array[-count:] for name, array in read_by(engine, self._of_rows).items()},
                **self._positions.asked_by(engine),
            }
            for key, engine in different(engines).items()
            for count in {len(values) for values in weights}
        }
        of_steps = {key: read_by(engine, self._of_steps) for key, engine in different(engines).items()}
        inputs, outputs = [], []
        for step, (values, engine) in enumerate(zip(weights, engines, strict=True)):
            this, other, key = step % 2, (step + 1) % 2, id(engine)
            inputs.append(
                {
                    **fixed[key, len(values)],
                    **{name: array[step][-len(values) :] for name, array in of_steps[key].items()},
                    "latent": latents[this],
                    "previous_velocity": velocities[this],
                    "guidance": arrays[values.tobytes()],
                    "coefficients": coefficients[step],
                }
            )
            outputs.append({"next_latent": latents[other], "velocity": velocities[other]})
        return inputs, outputs
