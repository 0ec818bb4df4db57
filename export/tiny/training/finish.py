"""The finish: all parts learn together, judged by the picture, and no crop is shown twice.

From pure noise the network is asked for the truth, and answers with the mean of what it may be. From less
noise it is asked for a picture between that mean and the truth: what many steps invent is then less than
what the photo leaves open, and so is the grain.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from dit4sr.export.tiny.data.crops import batches, pair_batch
from dit4sr.export.tiny.recipe import Recipe
from dit4sr.export.tiny.system import TinySystem
from dit4sr.export.tiny.training.autoencoder import as_image, image_distance, reconstruction_loss
from dit4sr.export.tiny.training.flow import GOOD, Question, Restorer, ask, guess, latent_error
from dit4sr.export.tiny.training.latents import Scale, encode
from dit4sr.export.tiny.training.loop import Say, Training

STAGE = 9
LATENT_WEIGHT = 0.5
"""Weight that holds the transformer to the encoder's latents: many steps feed it what it guessed before."""
RECONSTRUCTED_SHARE = 1 / 4
"""Share of a batch whose good pictures the VAE has to give back as before."""


class Finisher(nn.Module):
    """Everything that learns in the finish: VAE and transformer, from a photo to a picture."""

    def __init__(self, vae: AutoencoderKL, restorer: Restorer, scale: Scale) -> None:
        super().__init__()
        self.vae, self.restorer, self.scale = vae, restorer, scale

    def code(self, picture: Tensor) -> Tensor:
        """Encode a picture as latents, at the transformer's scale."""
        return self.scale.apply(encode(self.vae, picture))

    def picture(self, latent: Tensor) -> Tensor:
        """Decode latents at the transformer's scale to a picture."""
        with torch.autocast(latent.device.type, torch.bfloat16):
            made: Tensor = self.vae.decoder(self.scale.undo(latent)).float()
        return made


def finish(
    system: TinySystem, recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say
) -> TinySystem:
    """Train everything for all iterations still to do, and return the average of the weights."""
    vae = system.vae.to(memory_format=torch.channels_last)  # an iteration takes a seventh less time
    finisher = Finisher(vae, system.restorer, system.scale).to(device).requires_grad_(True)
    cycles = [(phase,) for phase in recipe.finish]
    training = Training("finish", finisher, recipe.finish_schedule, cycles, folder=folder, seed=seed)

    def loss(pictures: NDArray[np.uint8]) -> Tensor:
        truth, photo = (as_image(each, device) for each in pictures)
        return picture_loss(finisher, truth, photo, recipe, training.generator)

    pairs = batches(pair_batch, recipe.finish, (seed, STAGE), done=training.done)
    training.run(pairs, loss, say=say, report_every=recipe.report_every, save_every=recipe.save_every)
    average = training.average.network
    assert isinstance(average, Finisher)
    return TinySystem(average.vae.cpu(), average.restorer.cpu(), system.scale)


def picture_loss(
    finisher: Finisher, truth: Tensor, photo: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """How far off the picture is that one step leads to, from any level of noise."""
    condition = finisher.code(photo)
    question = ask(condition.detach(), recipe, generator)
    with torch.no_grad():
        goal = Goal(question.wanted(finisher.code(truth), condition), question.wanted(truth, photo))
        hold_back(goal, question, mean_guess(finisher, condition, question, generator), recipe.boldness)
    answer = guess(finisher.restorer, goal.latent, condition, question, generator)
    again = truth[: max(1, int(len(truth) * RECONSTRUCTED_SHARE))]
    return (
        image_distance(finisher.picture(answer), goal.picture)
        + LATENT_WEIGHT * latent_error(answer, goal.latent)
        + RECONSTRUCTED_SHARE * reconstruction_loss(finisher.vae, again, generator)
    )


class Goal(NamedTuple):
    """What the network is asked for, as a latent and as a picture."""

    latent: Tensor
    picture: Tensor


def mean_guess(finisher: Finisher, condition: Tensor, question: Question, generator: torch.Generator) -> Goal:
    """What the network makes of noise alone when it is asked for good pictures."""
    from_noise = Question(
        torch.full_like(question.prompt, GOOD), torch.ones_like(question.level), question.noise
    )
    latent = guess(finisher.restorer, condition, condition, from_noise, generator)
    return Goal(latent, finisher.picture(latent))


def hold_back(goal: Goal, question: Question, mean: Goal, boldness: float) -> None:
    """Move a goal towards the mean where more than noise is given: ask for less than the truth."""
    rows = (question.prompt == GOOD) & (question.level < 1)
    for wanted, likely in zip(goal, mean, strict=True):
        wanted[rows] = likely[rows].lerp(wanted[rows], boldness)
