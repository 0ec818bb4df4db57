"""Batches of crops, each made from nothing but its number: any of them can be made again, in any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dit4sr.export.tiny.data.degradation import degrade, enlarged
from dit4sr.export.tiny.data.drawings import draw_picture
from dit4sr.export.tiny.data.photographs import training_photographs
from dit4sr.export.tiny.recipe import Phase

Rng = np.random.Generator
Batch = NDArray[np.uint8]
Made = TypeVar("Made")

PHOTOGRAPH_SHARE = 0.7
DEGRADED_SHARE = 0.25
"""Share of degraded crops that the VAE sees: it has to code them as faithfully as restored pictures."""
AHEAD = 8


def crop(rng: Rng, side: int) -> Batch:
    """Draw a crop at random, part of a photograph or of a drawing."""
    if rng.random() < PHOTOGRAPH_SHARE:
        photographs = _photographs()
        return recoloured(rng, window(rng, photographs[rng.integers(len(photographs))], side))
    return draw_picture(rng, side)


def window(rng: Rng, photograph: Image.Image, side: int) -> Image.Image:
    """Cut a square from a photograph at a random scale, mirrored or turned at random."""
    shortest = min(photograph.size)
    source = min(int(side / rng.uniform(0.35, 1.0)), shortest)
    left = int(rng.integers(0, photograph.width - source + 1))
    top = int(rng.integers(0, photograph.height - source + 1))
    box = (left, top, left + source, top + source)
    square = photograph.resize((side, side), Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.25:
        square = square.transpose(Image.Transpose.ROTATE_90)
    return square


def recoloured(rng: Rng, image: Image.Image) -> Batch:
    """Change hue, saturation, channels and brightness at random: few photographs have few colours."""
    if rng.random() < 0.7:
        hue, saturation, value = (np.asarray(plane, dtype=np.int32) for plane in image.convert("HSV").split())
        hue = (hue + rng.integers(0, 256)) % 256
        stain = rng.integers(0, 60) if rng.random() < 0.3 else 0
        saturation = (saturation * rng.uniform(0.3, 1.8) + stain).clip(0, 255)
        planes = np.stack([hue, saturation, value], axis=-1).astype(np.uint8)
        image = Image.frombytes("HSV", image.size, planes.tobytes()).convert("RGB")
    picture = np.asarray(image, dtype=np.float32) / 255
    if rng.random() < 0.3:
        picture = picture[..., rng.permutation(3)]
    picture = picture ** rng.uniform(0.6, 1.6)
    picture = picture * rng.uniform(0.7, 1.0) + rng.uniform(0, 0.15)
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def vae_batch(seed: tuple[int, ...], size: int, side: int) -> Batch:
    """Make a batch of good crops, and degraded ones brought back to size: ``[size, 3, side, side]``."""
    rng = np.random.default_rng(seed)
    pictures = [crop(rng, side) for _ in range(size)]
    degraded = int(size * DEGRADED_SHARE)
    pictures[:degraded] = [enlarged(degrade(rng, picture)) for picture in pictures[:degraded]]
    return np.stack(pictures).transpose(0, 3, 1, 2)


def pair_batch(seed: tuple[int, ...], size: int, side: int) -> Batch:
    """Make a batch of good crops and of what was left of them: ``[2, size, 3, side, side]``."""
    rng = np.random.default_rng(seed)
    pictures = [crop(rng, side) for _ in range(size)]
    degraded = [enlarged(degrade(rng, picture)) for picture in pictures]
    return np.stack([np.stack(pictures), np.stack(degraded)]).transpose(0, 1, 4, 2, 3)


def batches(
    make: Callable[..., Made], phases: Sequence[Phase], seed: tuple[int, ...], *, done: int = 0
) -> Iterator[Made]:
    """Yield a batch for every iteration that is still to do, made from its number."""
    iterations = [phase for phase in phases for _ in range(phase.iterations)]
    left = list(enumerate(iterations))[done:]
    jobs = (((*seed, number), phase.batch, phase.pixels) for number, phase in left)
    return prefetched(make, jobs) if left else iter(())


def prefetched(make: Callable[..., Made], jobs: Iterator[tuple[object, ...]]) -> Iterator[Made]:
    """Yield the results of ``make`` in order, made by another process while the last one is learnt from."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
        waiting: list[Future[Made]] = [worker.submit(make, *job) for job in islice(jobs, AHEAD)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [worker.submit(make, *job) for job in islice(jobs, 1)]
            yield result


@cache
def _photographs() -> list[Image.Image]:
    return training_photographs()
