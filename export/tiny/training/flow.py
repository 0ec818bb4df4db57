"""The transformer: rectified flow from noise to a restored latent, as SD3.5 is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.patches import PatchEmbedding
from dit4sr.export.tiny.recipe import PROMPT_TOKENS, SPREAD, TRANSFORMER, Phase, Recipe
from dit4sr.export.tiny.training.latents import Pairs, Scale
from dit4sr.export.tiny.training.loop import Say, Training
from dit4sr.runtime.sampling.noise_levels import TRAINING_STEPS
from dit4sr.runtime.sampling.positions import centred_start

SCHEDULE_SHIFT = 3.0
DEGRADED, GOOD = range(2)
"""Indices of the two prompts."""
FIRST_LENGTH = 0.1
"""How long a latent's unit is among a token's numbers before training; positions are eight long."""


class Restorer(nn.Module):
    """A network and its two prompts, which stand where text encoders would.

    The network is called with a noisy latent, the photo's latent, text, pooled text and the time.
    """

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.text = nn.Parameter(torch.randn(2, PROMPT_TOKENS, TRANSFORMER.joint_attention_dim))
        self.pooled = nn.Parameter(torch.randn(2, TRANSFORMER.pooled_projection_dim))

    def forward(self, latent: Tensor, condition: Tensor, prompt: Tensor, level: Tensor) -> Tensor:
        """Compute the velocity of each row for its prompt, `DEGRADED` or `GOOD`."""
        text, pooled = self.text[prompt], self.pooled[prompt]
        velocity: Tensor = self.transformer(latent, condition, text, pooled, level * TRAINING_STEPS)
        return velocity


def new_restorer(seed: int) -> Restorer:
    """Make the transformer before training, which already hands its noisy latent through.

    The velocity holds all of the noise that came in, and letting it pass is most of what an ordinary
    beginning has to learn. Here the gates are shut, and patches leave by the directions they enter by,
    which no position uses. What the last norm divides by is nearly the positions' length, and the same for
    every token. The LR stream is projected like the noise stream, and tokens look for those that are like
    them.
    """
    torch.manual_seed(seed)
    transformer = Transformer(TRANSFORMER)
    restorer = Restorer(transformer)
    with torch.no_grad():
        shut_gates(transformer)
        for name, parameter in transformer.named_parameters():
            if name.endswith(("to_q_control.weight", "to_k_control.weight", "to_v_control.weight")):
                nn.init.eye_(parameter)
        hand_through(transformer.pos_embed, transformer.proj_out)
    return restorer


def shut_gates(network: nn.Module) -> None:
    """Let no layer of SD3's kind add anything yet, and tokens look for those that are like them."""
    parameters = dict(network.named_parameters())
    for name, parameter in parameters.items():
        if parameter.ndim >= 2 and "control_conv" not in name:
            nn.init.xavier_uniform_(parameter.flatten(1))
        if ("norm" in name and ".linear." in name) or name.endswith(("pos_embed.proj.bias", "proj_out.bias")):
            parameter.zero_()
    for name, parameter in parameters.items():
        if ".attn.to_k." in name:
            parameter.copy_(parameters[name.replace("to_k", "to_q")])


def hand_through(embedding: PatchEmbedding, leaving: nn.Linear) -> None:
    """Make the last projection of a network undo the first."""
    entrance = FIRST_LENGTH * free_directions(embedding.pos_embed[0], leaving.out_features)
    # Patches enter channel by channel and leave place by place.
    channels, side = embedding.proj.in_channels, embedding.proj.kernel_size[0]
    embedding.proj.weight.copy_(entrance.unflatten(1, (channels, side, side)))
    spread = embedding.pos_embed.std(dim=-1, unbiased=False).mean()
    by_place = entrance.unflatten(1, (channels, side, side)).permute(0, 2, 3, 1).flatten(1)
    leaving.weight.copy_(by_place.T * spread / FIRST_LENGTH**2)


def free_directions(positions: Tensor, count: int) -> Tensor:
    """``[D, count]`` orthonormal directions, those that positions and the token's mean use least."""
    used = torch.cat([positions, torch.ones_like(positions)])
    least_used_first: Tensor = torch.linalg.eigh(used.T @ used).eigenvectors
    return least_used_first[:, :count].contiguous()


def train_flow(
    pairs: list[Pairs], scale: Scale, recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say
) -> Restorer:
    """Train the transformer for all iterations still to do, and return the average of its weights."""
    restorer = new_restorer(seed).to(device)
    return train_restorer("flow", restorer, pairs, scale, recipe, folder=folder, seed=seed, say=say)


def train_restorer(
    name: str,
    restorer: Restorer,
    pairs: list[Pairs],
    scale: Scale,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int,
    say: Say,
) -> Restorer:
    """Train any restorer; pairs, noise and levels hang on the seed alone, not on what learns from them."""
    device = restorer.text.device.type
    training = Training(name, restorer, recipe.flow_schedule, recipe.flow, folder=folder, seed=seed)
    by_pixels = {phase.pixels: each for phase, each in zip(recipe.pairs, pairs, strict=True)}

    def loss(phase: Phase) -> Tensor:
        drawn = draw(by_pixels[phase.pixels], phase.batch, scale, device, training.generator)
        return flow_loss(restorer, *drawn, recipe, training.generator)

    training.run(
        training.phases[training.done :],
        loss,
        say=say,
        report_every=recipe.report_every,
        save_every=recipe.save_every,
    )
    average = training.average.network
    assert isinstance(average, Restorer)
    return average


def draw(
    pairs: Pairs, size: int, scale: Scale, device: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw some pairs at random, at the transformer's scale."""
    chosen = torch.randint(len(pairs.clean), (size,), generator=generator, device=device).cpu()
    clean, degraded = (each[chosen].to(device).float() for each in (pairs.clean, pairs.degraded))
    return scale.apply(clean), scale.apply(degraded)


def flow_loss(
    restorer: Restorer, clean: Tensor, degraded: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """The mean squared error of the clean latent that the velocity leads to, as DiT4SR's authors weigh it.

    That is the square of the noise level times the velocity's error, and few steps profit.
    """
    question = ask(clean, recipe, generator)
    goal = question.wanted(clean, degraded)
    return latent_error(guess(restorer, goal, degraded, question, generator), goal)


class Question(NamedTuple):
    """What the network is asked for, and how much of it is given; a row for each sample."""

    prompt: Tensor
    """Index of each row's prompt, `DEGRADED` or `GOOD`."""
    level: Tensor
    """Level of noise in each row: at one nothing of the goal is given."""
    noise: Tensor

    def wanted(self, good: Tensor, degraded: Tensor) -> Tensor:
        """Take each row from ``good`` or ``degraded``, by its prompt."""
        return torch.where(self.prompt[:, None, None, None] == GOOD, good, degraded)


def ask(latent: Tensor, recipe: Recipe, generator: torch.Generator) -> Question:
    """Draw a question at random, for latents like these.

    A share of the samples has the other prompt and is asked for the degraded picture itself: what guidance
    then keeps away from is its blur, noise and blocks, and nothing else.
    """
    rows, device = len(latent), latent.device
    prompt = (torch.rand(rows, generator=generator, device=device) >= recipe.degraded_share).long()
    level = noise_levels(rows, recipe.first_step_share, generator)
    return Question(prompt, level, torch.randn(latent.shape, generator=generator, device=device))


def guess(
    restorer: Restorer, goal: Tensor, condition: Tensor, question: Question, generator: torch.Generator
) -> Tensor:
    """Take one step to the end, from as much of the goal as the question gives."""
    amount = question.level[:, None, None, None]
    noisy = (1 - amount) * goal + amount * question.noise
    half = torch.autocast(goal.device.type, torch.bfloat16)
    with half, random_place(restorer.transformer, goal, generator):
        velocity: Tensor = restorer(noisy, condition, question.prompt, question.level).float()
    return noisy - amount * velocity


def latent_error(latent: Tensor, goal: Tensor) -> Tensor:
    """Mean square error of latents, relative to their spread."""
    error: Tensor = ((latent - goal) / SPREAD).square().mean()
    return error


def noise_levels(rows: int, first_step_share: float, generator: torch.Generator) -> Tensor:
    """Draw levels of noise: logit-normal, bent by the schedule's shift; a share of them at pure noise."""
    device = generator.device
    level = torch.randn(rows, generator=generator, device=device).sigmoid()
    level = SCHEDULE_SHIFT * level / (1 + (SCHEDULE_SHIFT - 1) * level)
    is_first = torch.rand(rows, generator=generator, device=device) < first_step_share
    levels: Tensor = torch.where(is_first, torch.ones_like(level), level)
    return levels


@contextmanager
def random_place(network: nn.Module, latent: Tensor, generator: torch.Generator) -> Iterator[None]:
    """Give a crop smaller than the tile the positions of a random place in it.

    Networks read the centre of their tables; for the length of the block another place is there.
    """
    embeddings = [module for module in network.modules() if isinstance(module, PatchEmbedding)]
    tables = [embedding.pos_embed for embedding in embeddings]
    size, patch = embeddings[0].table_size, embeddings[0].proj.kernel_size[0]
    sides = [length // patch for length in latent.shape[2:]]
    shifts = [
        centred_start(size, side)
        - int(torch.randint(size - side + 1, (), generator=generator, device=generator.device))
        for side in sides
    ]
    for embedding, table in zip(embeddings, tables, strict=True):
        embedding.pos_embed = table.view(size, size, -1).roll(shifts, (0, 1)).reshape(table.shape)
    try:
        yield
    finally:
        for embedding, table in zip(embeddings, tables, strict=True):
            embedding.pos_embed = table
