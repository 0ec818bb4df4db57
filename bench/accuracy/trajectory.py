"""The latents of a picture, step by step: where two ways of computing it part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dit4sr.bench.subject import Subject
from dit4sr.runtime.backends.protocol import Array, Backend, Context, Engine
from dit4sr.runtime.image.vae import PictureCoder, posterior, scaled
from dit4sr.runtime.manifest import TensorSpec
from dit4sr.runtime.sampling.conditions import Conditions
from dit4sr.runtime.sampling.sampler import WholeSampler
from dit4sr.runtime.sampling.tiles import Tiling

Latents = NDArray[np.float32]


@dataclass
class WatchedEngine:
    """An engine, and a copy of every latent it makes."""

    engine: Engine
    backend: Backend
    latents: list[Latents] = field(default_factory=list)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the engine reads."""
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the engine makes."""
        return self.engine.outputs

    def context(self) -> Context:
        """A context that takes note."""
        return _WatchedContext(self, self.engine.context())


@dataclass
class _WatchedContext:
    watched: WatchedEngine
    context: Context

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        results = self.context.run(inputs, outputs)
        self.watched.latents.append(self.watched.backend.download(results["next_latent"]).copy())
        return results


def trajectory(subject: Subject) -> list[Latents]:
    """The latent after every step, for the middle tile of the subject's picture and its stored prompts."""
    card, backend = subject.bundle.card, subject.backend
    schedule, work = subject.settings.schedule(card), subject.workload()
    low = subject.specimen.fitted(
        round(work.height * card.vae_factor / subject.settings.scale),
        round(work.width * card.vae_factor / subject.settings.scale),
    )
    geometry = subject.upscaler.geometry(low.picture.shape[1], low.picture.shape[0], subject.settings)
    enlarged = geometry.enlarge(low.picture)
    height, width = (side // card.vae_factor for side in enlarged.shape[:2])
    encoder = backend.open(subject.bundle, "vae_encoder").context()
    coder = PictureCoder(backend, card, lambda: None)
    moments = coder.encode(encoder, enlarged, Tiling.cover(height, width, max(height, width), 0))
    names = ["negative", "positive"][-schedule.branches :]
    prompts = [subject.bundle.embedding(name) for name in names]
    latent = np.repeat(scaled(posterior(moments, None), card), schedule.branches, axis=0)
    noise = subject.settings.rng.stream(0).normal([1, card.latent_channels, height, width])[0]

    sampler = WholeSampler(backend, card, schedule, Conditions(latent, prompts, schedule.timesteps))
    sampler.prepare(backend.open(subject.bundle, "prepare"))
    watched = WatchedEngine(backend.open(subject.bundle, "step"), backend)
    sampler.sample(watched, noise, lambda: None)
    return watched.latents


def step_errors(found: list[Latents], wanted: list[Latents]) -> list[float]:
    """Root mean square of the difference after each step, relative to the wanted latent's."""
    return [
        float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2) / np.mean(b.astype(np.float64) ** 2)))
        for a, b in zip(found, wanted, strict=True)
    ]
