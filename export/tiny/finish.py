"""The finish: transformer and decoder learn together, judged by the picture, and no crop is shown twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dit4sr.export.tiny.autoencoder import as_image, unlikeness
from dit4sr.export.tiny.crops import batches, pair_batch
from dit4sr.export.tiny.flow import Restorer, guess_goal
from dit4sr.export.tiny.latents import encode
from dit4sr.export.tiny.recipe import Recipe
from dit4sr.export.tiny.system import TinySystem
from dit4sr.export.tiny.training import Say, Training

STAGE = 9
LATENT_WEIGHT = 0.5
"""What holds the transformer to the encoder's latents: many steps feed it what it guessed before."""
RECONSTRUCTED_SHARE = 1 / 8
"""Of a batch, good latents that the decoder has to give back as before."""


class Finisher(nn.Module):
    """What still learns: all but the encoder, whose latents are what the flow leads to."""

    def __init__(self, restorer: Restorer, decoder: nn.Module) -> None:
        super().__init__()
        self.restorer, self.decoder = restorer, decoder


def finish(
    system: TinySystem, recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say
) -> TinySystem:
    """All iterations that are still to do; the average of the weights is what comes back."""
    vae = system.vae.to(device).requires_grad_(False)
    finisher = Finisher(system.restorer, vae.decoder).to(device).requires_grad_(True)
    cycles = [phase.iterations for phase in recipe.finish]
    training = Training("finish", finisher, recipe.finish_schedule, cycles, folder=folder, seed=seed)

    def loss(pictures: NDArray[np.uint8]) -> Tensor:
        truth, photo = (as_image(each, device) for each in pictures)
        return picture_loss(system, truth, photo, recipe, training.generator)

    pairs = batches(pair_batch, recipe.finish, (seed, STAGE), done=training.done)
    training.run(pairs, loss, say=say, report_every=recipe.report_every, save_every=recipe.save_every)
    average = training.average.network
    assert isinstance(average, Finisher)
    vae.decoder = average.decoder
    return TinySystem(vae.cpu(), average.restorer.cpu(), system.scale)


def picture_loss(
    system: TinySystem, truth: Tensor, photo: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """How far the picture is off that one step leads to, from any level of noise."""
    vae, scale = system.vae, system.scale
    with torch.no_grad():
        clean, degraded = (scale.apply(encode(vae, each)) for each in (truth, photo))
    guess = guess_goal(system.restorer, clean, degraded, recipe, generator)
    goal = torch.where(guess.prompt[:, None, None, None] == 1, truth, photo)
    again = max(1, int(len(truth) * RECONSTRUCTED_SHARE))
    latents = torch.cat([guess.latent, clean[:again]])
    with torch.autocast(truth.device.type, torch.bfloat16):
        made = vae.decoder(scale.undo(latents)).float()
    return unlikeness(made, torch.cat([goal, truth[:again]])) + LATENT_WEIGHT * guess.loss()
