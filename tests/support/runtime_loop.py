"""The released pipeline's loop, plainly in torch, diffusers and Pillow, over any system.

It shares no line with the runtime: what both make of a photo is compared pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image
from torch import Tensor

from dit4sr.runtime.bundles.manifest import ModelCard

SCALE = 4


class System(Protocol):
    """A network and its VAE in torch."""

    card: ModelCard

    def encode(self, image: Tensor) -> Tensor:
        """Moments of a picture."""

    def decode(self, latent: Tensor) -> Tensor:
        """The picture of an unscaled latent."""

    def velocity(
        self, latent: Tensor, condition: Tensor, text: Tensor, pooled: Tensor, time: Tensor
    ) -> Tensor:
        """What the network answers, a row for each branch."""


Prompts = Mapping[str, tuple[np.ndarray, np.ndarray]]


@torch.no_grad()
def restore_with_torch(
    photo: np.ndarray,
    system: System,
    prompts: Prompts,
    *,
    steps: int,
    guidance: float,
    seed: int,
    velocities: str | None = None,
) -> np.ndarray:
    """``[h, w, 3]`` bytes in, four times the size out.

    ``velocities`` are letters that say of every step whether the network runs, and if not, what stands in.
    """
    card = system.card
    low = enlarge(photo, card)
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=card.schedule_shift)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    names = ["negative", "positive"] if guidance > 1 else ["positive"]
    text, pooled = (torch.stack([torch.from_numpy(prompts[n][i]) for n in names]) for i in (0, 1))

    image = torch.from_numpy(np.array(low)).permute(2, 0, 1)[None].float() / 127.5 - 1
    mean, log_variance = system.encode(image).chunk(2, dim=1)
    latent = torch.randn([1, *mean.shape[1:]], generator=generator)
    noise = torch.randn([len(names), *mean.shape[1:]], generator=generator)
    condition = (mean + (log_variance.clamp(-30, 20) / 2).exp() * noise - card.shift) * card.scaling

    def velocity(part: Tensor, part_condition: Tensor, time: Tensor, letter: str = "g") -> Tensor:
        rows = part.expand(len(names), -1, -1, -1)
        answers = system.velocity(rows, part_condition, text, pooled, time.expand(len(names)))
        if guidance <= 1 or letter == "u":
            return answers[-1:]
        negative, positive = answers.chunk(2)
        return negative + guidance * (positive - negative)

    runs: list[tuple[Tensor, Tensor]] = []  # time and velocity
    for time, letter in zip(scheduler.timesteps, velocities or "g" * steps, strict=True):
        if letter in "gu":
            found = in_tiles(
                lambda a, b, t=time, how=letter: velocity(a, b, t, how), latent, condition, card.training_tile
            )
            runs.append((time, found))
        elif letter == "h" or len(runs) == 1:
            found = runs[-1][1]
        else:
            (earlier, first), (later, last) = runs[-2:]
            found = last + (time - later) / (later - earlier) * (last - first)
        latent = scheduler.step(found, time, latent).prev_sample

    decoded = (system.decode(latent / card.scaling + card.shift) / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)
    content = torch.from_numpy((decoded.numpy() * 255).round().astype(np.uint8)).double() / 255
    style = torch.from_numpy(np.array(low)).double() / 255
    (mean, spread), (style_mean, style_spread) = (
        (x.mean((0, 1)), (x.var((0, 1)) + 1e-5).sqrt()) for x in (content, style)
    )
    fixed = ((content - mean) / spread * style_spread + style_mean).clamp(0, 1)
    result = Image.fromarray((fixed * 255).to(torch.uint8).numpy())
    final = (photo.shape[1] * SCALE, photo.shape[0] * SCALE)
    return np.asarray(result.resize(final, Image.Resampling.BICUBIC))


def enlarge(photo: np.ndarray, card: ModelCard) -> Image.Image:
    image = Image.fromarray(photo)
    factor = card.vae_factor
    least = card.training_tile * factor // SCALE
    if min(image.size) < least:
        ratio = least / min(image.size)
        image = image.resize((int(image.width * ratio), int(image.height * ratio)), Image.Resampling.BICUBIC)
    image = image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.BICUBIC)
    size = (image.width // factor * factor, image.height // factor * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def in_tiles(velocity, latent: Tensor, condition: Tensor, tile: int) -> Tensor:
    """The velocity of the whole latent, tile by tile where it is larger than one."""
    height, width = latent.shape[2:]
    if height * width <= tile * tile:
        return velocity(latent, condition)
    side = min(tile, height, width)
    stride = side - tile * 3 // 8

    def places(length: int) -> list[int]:
        count = 1 + math.ceil((length - side) / stride)
        return [min(i * stride, length - side) for i in range(count)]

    def bell(middle: float) -> Tensor:
        return torch.exp(-((torch.arange(side, dtype=torch.double) - middle) ** 2) / (side * side * 0.02))

    weight = bell(side / 2)[:, None] * bell((side - 1) / 2)
    total = torch.zeros_like(latent)
    weights = torch.zeros(height, width, dtype=torch.double)
    for top in places(height):
        for left in places(width):
            area = (..., slice(top, top + side), slice(left, left + side))
            total[area] += (velocity(latent[area], condition[area]) * weight).float()
            weights[area] += weight
    return (total / weights).float()
