"""The stages of the training in order: VAE, latents, transformer, finish."""

from __future__ import annotations

from pathlib import Path

from dit4sr.export.tiny.recipe import Recipe
from dit4sr.export.tiny.system import TinySystem
from dit4sr.export.tiny.training.autoencoder import train_vae
from dit4sr.export.tiny.training.finish import finish
from dit4sr.export.tiny.training.flow import train_flow
from dit4sr.export.tiny.training.latents import Scale, encode_pairs
from dit4sr.export.tiny.training.loop import Say


def train(recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say) -> TinySystem:
    """Train whatever of dit4sr-tiny is not trained yet."""
    folder.mkdir(parents=True, exist_ok=True)
    vae = train_vae(recipe, folder, seed=seed, device=device, say=say)
    pairs = encode_pairs(vae, recipe, folder, seed=seed, device=device, say=say)
    scale = Scale.of(pairs[0].clean)
    restorer = train_flow(pairs, scale, recipe, folder, seed=seed, device=device, say=say)
    system = TinySystem(vae, restorer, scale)
    return finish(system, recipe, folder, seed=seed, device=device, say=say)
