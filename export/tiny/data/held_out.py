"""The test set: crops of photographs that the training never sees, each degraded in one fixed way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dit4sr.export.tiny.data.degradation import FILTERS, jpeg
from dit4sr.export.tiny.data.photographs import held_out_photograph
from dit4sr.export.tiny.recipe import SCALE

Picture = NDArray[np.uint8]
SIDE = 256

PLACES = (
    ("astronaut", 0, 100),
    ("astronaut", 128, 256),
    ("astronaut", 256, 0),
    ("astronaut", 256, 256),
    ("coffee", 0, 0),
    ("coffee", 100, 150),
    ("coffee", 144, 300),
    ("coffee", 0, 344),
    ("chelsea", 0, 50),
    ("chelsea", 44, 100),
    ("chelsea", 20, 150),
    ("chelsea", 44, 190),
)
"""The crops of the test set: photograph, top and left."""


@dataclass(frozen=True)
class Pair:
    """A good picture and the degraded photo made of it."""

    name: str
    truth: Picture
    photo: Picture


@cache
def held_out_pairs() -> tuple[Pair, ...]:
    """Twelve crops of 256×256, from slightly to badly spoilt: noise of 2 to 16, JPEG of 95 to 45."""
    pairs = []
    for place, (name, top, left) in enumerate(PLACES):
        truth = held_out_photograph(name)[top : top + SIDE, left : left + SIDE]
        # Every photograph has its share of light and heavy cases.
        severity = (place % 4 * 3 + place // 4) / (len(PLACES) - 1)
        blur, noise, quality = 0.6 + 1.1 * severity, 2 + 14 * severity, round(95 - 50 * severity)
        pairs.append(
            Pair(
                f"{name} {top}+{left}",
                truth,
                spoil(truth, blur=blur, noise=noise, quality=quality, seed=place),
            )
        )
    return tuple(pairs)


def spoil(truth: Picture, *, blur: float, noise: float, quality: int, seed: int) -> Picture:
    """Degrade a picture in a fixed way: blur, shrink, noise, JPEG."""
    height, width = truth.shape[:2]
    image = Image.fromarray(truth).filter(ImageFilter.GaussianBlur(blur))
    image = image.resize((width // SCALE, height // SCALE), FILTERS[0])
    grain = np.random.default_rng(seed).normal(0, noise, (height // SCALE, width // SCALE, 3))
    return jpeg((np.asarray(image) + grain).clip(0, 255).astype(np.uint8), quality)
