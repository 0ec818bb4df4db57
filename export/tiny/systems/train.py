"""The training of one system: dit4sr-tiny's, from its transformer on, with the VAE in the box."""

from __future__ import annotations

from pathlib import Path

from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.tiny.recipe import Recipe
from dit4sr.export.tiny.system import TinySystem, read_checkpoint
from dit4sr.export.tiny.systems.networks import new_system
from dit4sr.export.tiny.training.flow import train_restorer
from dit4sr.export.tiny.training.latents import encode_pairs
from dit4sr.export.tiny.training.loop import Say


def train_system(name: str, recipe: Recipe, folder: Path, *, seed: int, say: Say) -> TinySystem:
    """Train whatever of a system is not trained yet; all systems in a folder learn from the same pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    box = read_checkpoint(CHECKPOINT)
    pairs = encode_pairs(box.vae, recipe, folder, seed=seed, device="cpu", say=say)
    begun = new_system(name, seed)
    restorer = train_restorer(name, begun, pairs, box.scale, recipe, folder=folder, seed=seed, say=say)
    return TinySystem(box.vae, restorer, box.scale)
