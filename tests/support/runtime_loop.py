"""The released pipeline's loop, plainly in torch, diffusers and Pillow, over the small system.

It shares no line with the runtime: what both make of a photo is compared pixel by pixel.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from PIL import Image
from support.runtime_system import (
    CARD,
    CHANNELS,
    FACTOR,
    SCALING,
    SHIFT,
    TILE,
    TorchSystem,
    toy_prompts,
    toy_weights,
)
from torch import Tensor

SCALE = 4


@torch.no_grad()
def restore_with_torch(
    photo: np.ndarray, *, steps: int, guidance: float, seed: int, weights: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """``[h, w, 3]`` bytes in, four times the size out."""
    system = TorchSystem.of(weights or toy_weights())
    low = enlarge(photo)
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=CARD.schedule_shift)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    names = ["negative", "positive"] if guidance > 1 else ["positive"]
    prompts = toy_prompts()
    text, pooled = (torch.stack([torch.from_numpy(prompts[n][i]) for n in names]) for i in (0, 1))

    image = torch.from_numpy(np.array(low)).permute(2, 0, 1)[None].float() / 127.5 - 1
    mean, log_variance = system.encode(image).chunk(2, dim=1)
    latent = torch.randn([1, *mean.shape[1:]], generator=generator)
    noise = torch.randn([len(names), *mean.shape[1:]], generator=generator)
    condition = (mean + (log_variance.clamp(-30, 20) / 2).exp() * noise - SHIFT) * SCALING

    def velocity(part: Tensor, part_condition: Tensor, time: Tensor) -> Tensor:
        rows = part.expand(len(names), -1, -1, -1)
        grid = positions(part.shape[2] // 2, part.shape[3] // 2)
        answers = system.velocity(rows, part_condition, text, pooled, time[None], grid)
        if guidance <= 1:
            return answers
        negative, positive = answers.chunk(2)
        return negative + guidance * (positive - negative)

    for time in scheduler.timesteps:
        latent = scheduler.step(
            in_tiles(lambda a, b, t=time: velocity(a, b, t), latent, condition), time, latent
        ).prev_sample

    decoded = (system.decode(latent / SCALING + SHIFT) / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)
    content = torch.from_numpy((decoded.numpy() * 255).round().astype(np.uint8)).double() / 255
    style = torch.from_numpy(np.array(low)).double() / 255
    (mean, spread), (style_mean, style_spread) = (
        (x.mean((0, 1)), (x.var((0, 1)) + 1e-5).sqrt()) for x in (content, style)
    )
    fixed = ((content - mean) / spread * style_spread + style_mean).clamp(0, 1)
    result = Image.fromarray((fixed * 255).to(torch.uint8).numpy())
    final = (photo.shape[1] * SCALE, photo.shape[0] * SCALE)
    return np.asarray(result.resize(final, Image.Resampling.BICUBIC))


def enlarge(photo: np.ndarray) -> Image.Image:
    image = Image.fromarray(photo)
    least = TILE * FACTOR // SCALE
    if min(image.size) < least:
        ratio = least / min(image.size)
        image = image.resize((int(image.width * ratio), int(image.height * ratio)), Image.Resampling.BICUBIC)
    image = image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.BICUBIC)
    size = (image.width // FACTOR * FACTOR, image.height // FACTOR * FACTOR)
    return image.resize(size, Image.Resampling.BICUBIC)


@cache
def positions(rows: int, columns: int) -> Tensor:
    """The centre of the stored table, as diffusers makes and crops it."""
    table = CARD.positions
    stored = get_2d_sincos_pos_embed(
        table.width, table.table_size, base_size=table.base_size, output_type="pt"
    ).reshape(table.table_size, table.table_size, table.width)
    top, left = (table.table_size - rows) // 2, (table.table_size - columns) // 2
    return stored[top : top + rows, left : left + columns].reshape(rows * columns, -1).float()


def in_tiles(velocity, latent: Tensor, condition: Tensor) -> Tensor:
    """The velocity of the whole latent, tile by tile where it is larger than one."""
    height, width = latent.shape[2:]
    if height * width <= TILE * TILE:
        return velocity(latent, condition)
    side = min(TILE, height, width)
    stride = side - TILE * 3 // 8

    def places(length: int) -> list[int]:
        count = 1 + math.ceil((length - side) / stride)
        return [min(i * stride, length - side) for i in range(count)]

    def bell(middle: float) -> Tensor:
        return torch.exp(-((torch.arange(side, dtype=torch.double) - middle) ** 2) / (side * side * 0.02))

    weight = bell(side / 2)[:, None] * bell((side - 1) / 2)
    total = torch.zeros(1, CHANNELS, height, width)
    weights = torch.zeros(height, width, dtype=torch.double)
    for top in places(height):
        for left in places(width):
            area = (..., slice(top, top + side), slice(left, left + side))
            total[area] += (velocity(latent[area], condition[area]) * weight).float()
            weights[area] += weight
    return (total / weights).float()
