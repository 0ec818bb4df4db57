"""The way of an exact restoration, as far as a prediction of other schedules needs it.

At every step of it the network is also asked for its unguided velocity. A second restoration, which holds
every other velocity, strays a little, and shows how the network answers to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.schedules.candidate import Candidate
from dit4sr.runtime.backends.choice import Choice
from dit4sr.runtime.backends.protocol import Array, Backend, Context, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.upscaler import Upscaler

Floats = NDArray[np.floating]
STEP = "step"


@dataclass(frozen=True)
class Trajectory:
    """What one photo tells: products of its velocities, and how the network answers to a latent astray."""

    products: Floats
    """Mean products of all velocities with one another: of every step, and then of every step unguided."""
    answered: Floats
    """At every step, the product of how far a latent was astray and how far the denoised picture then was."""
    astray: Floats
    """At every step, the square of how far the latent was astray; 0 where that was not seen."""


@dataclass(frozen=True)
class Run:
    """One run of the network: what it was given, and what it answered."""

    latent: Floats
    velocity: Floats
    unguided: Floats | None


def record_trajectory(
    bundle: Bundle, choice: Choice, case: Case, exact: Candidate, *, seed: int
) -> tuple[Trajectory, Picture]:
    """Restore a photo twice, exactly and astray; return what that tells, and the exact picture."""
    levels = exact.schedule(bundle.card).levels.astype(np.float64)
    backend = WatchedBackend(choice.backend)
    with Upscaler(bundle, backend=backend) as upscaler:
        picture = upscaler.upscale(case.photo, seed=seed, settings=exact.settings()).picture
        whole = list(backend.runs)
        backend.runs.clear()
        letters = "".join(letter if i % 2 == 0 else "h" for i, letter in enumerate(exact.velocities))
        astray = Candidate(exact.solver, letters, exact.guidance)
        upscaler.upscale(case.photo, seed=seed, settings=astray.settings())
    velocities = [run.velocity for run in whole]
    velocities += [run.unguided for run in whole if run.unguided is not None]
    answered, lengths = np.zeros(exact.steps), np.zeros(exact.steps)
    for run, step in zip(backend.runs, range(0, exact.steps, 2), strict=True):
        there = whole[step]
        away = (run.latent - there.latent).astype(np.float64)
        denoised = away - levels[step] * (run.velocity - there.velocity)
        answered[step], lengths[step] = np.vdot(away, denoised), np.vdot(away, away)
    return Trajectory(_products(velocities), answered, lengths), picture


def _products(velocities: Sequence[Floats]) -> Floats:
    """Mean products of all with all, in double precision, a few rows at a time."""
    rows = np.stack([velocity.ravel() for velocity in velocities]).astype(np.float64)
    products: Floats = rows @ rows.T / rows.shape[1]
    return products


@dataclass
class WatchedBackend:
    """A backend whose `step` is watched: what it reads and makes is kept, run after run."""

    backend: Backend
    runs: list[Run] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the backend that is watched."""
        return self.backend.name

    @property
    def device(self) -> str:
        """Where arrays live."""
        return self.backend.device

    def open(self, bundle: Bundle, component: str) -> Engine:
        """Load a component's weights."""
        engine = self.backend.open(bundle, component)
        return _WatchedEngine(engine, self) if component == STEP else engine

    def empty(self, shape: Sequence[int]) -> Array:
        """A float32 array with undefined values."""
        return self.backend.empty(shape)

    def upload(self, values: NDArray[Any]) -> Array:
        """The values where engines read them."""
        return self.backend.upload(values)

    def write(self, target: Array, values: NDArray[Any]) -> None:
        """Copy values into an array."""
        self.backend.write(target, values)

    def download(self, array: Array) -> NDArray[Any]:
        """An array as NumPy sees it."""
        return self.backend.download(array)


@dataclass(frozen=True)
class _WatchedEngine:
    engine: Engine
    watch: WatchedBackend

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.engine.outputs

    def context(self) -> Context:
        return _WatchedContext(self.engine.context(), self.watch)


@dataclass(frozen=True)
class _WatchedContext:
    context: Context
    watch: WatchedBackend

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        backend = self.watch.backend
        latent = backend.download(inputs["latent"]).copy()
        unguided = None
        if inputs["guidance"].shape == (2,):
            # The positive alone, by weights: the rows are there already.
            alone = {**inputs, "guidance": backend.upload(np.array([0, 1], dtype=np.float32))}
            made = {name: backend.empty(inputs["latent"].shape) for name in ("next_latent", "velocity")}
            unguided = backend.download(self.context.run(alone, made)["velocity"]).copy()
        results = self.context.run(inputs, outputs)
        velocity = backend.download(results["velocity"]).copy()
        self.watch.runs.append(Run(latent, velocity, unguided))
        return results
