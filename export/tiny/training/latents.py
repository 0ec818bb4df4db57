"""Pairs of pictures as latents: encoded once, learnt from many times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from dit4sr.export.tiny.data.crops import batches, pair_batch
from dit4sr.export.tiny.recipe import CHANNELS, SPREAD, Phase, Recipe
from dit4sr.export.tiny.training.autoencoder import as_image
from dit4sr.export.tiny.training.loop import Say
from dit4sr.export.tiny.training.state import read_state, write_state

STAGE = 2


@dataclass(frozen=True)
class Scale:
    """Shift and scaling that bring latents to mean zero and their spread, as in a VAE's config."""

    shift: float
    scaling: float

    @classmethod
    def of(cls, latents: Tensor) -> Scale:
        """Measure the scale on latents of good pictures."""
        values = latents.float()
        return cls(shift=float(values.mean()), scaling=float(SPREAD / values.std()))

    def apply(self, latents: Tensor) -> Tensor:
        """Bring latents of the VAE to the scale the transformer works at."""
        return (latents - self.shift) * self.scaling

    def undo(self, latents: Tensor) -> Tensor:
        """Bring latents of the transformer back to the VAE's scale."""
        return latents / self.scaling + self.shift


@dataclass(frozen=True)
class Pairs:
    """Latents ``[n, channels, h, w]`` of good pictures and of what was left of them, at the VAE's scale."""

    clean: Tensor
    degraded: Tensor


def encode(vae: AutoencoderKL, image: Tensor) -> Tensor:
    """Encode pictures as the means of their latents."""
    with torch.autocast(image.device.type, torch.bfloat16):
        moments: Tensor = vae.encoder(image)
    return moments.float()[:, :CHANNELS]


def encode_pairs(
    vae: AutoencoderKL, recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say
) -> list[Pairs]:
    """Encode one set of pairs for each size of crop; those that are there already are read."""
    sets = []
    for place, phase in enumerate(recipe.pairs):
        file = folder / f"pairs-{phase.pixels}.safetensors"
        settings = {"seed": seed, "number and size of pairs": asdict(phase)}
        if not file.is_file():
            pairs = _encode_phase(vae, phase, (seed, STAGE + place), device)
            write_state(file, {"clean": pairs.clean, "degraded": pairs.degraded}, settings)
            say(f"pairs of {phase.pixels} pixels: {len(pairs.clean)} encoded")
        tensors = read_state(file, settings)
        sets.append(Pairs(tensors["clean"], tensors["degraded"]))
    return sets


@torch.no_grad()
def _encode_phase(vae: AutoencoderKL, phase: Phase, seed: tuple[int, int], device: str) -> Pairs:
    clean: list[Tensor] = []
    degraded: list[Tensor] = []
    for batch in batches(pair_batch, [phase], seed):
        for latents, pictures in zip((clean, degraded), batch, strict=True):
            latents.append(encode(vae, as_image(pictures, device)).half().cpu())
    return Pairs(torch.cat(clean), torch.cat(degraded))
