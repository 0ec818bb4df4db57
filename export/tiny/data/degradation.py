"""How a good picture becomes a bad one: blur, shrink, noise and JPEG, sometimes twice over."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dit4sr.export.tiny.recipe import SCALE

Rng = np.random.Generator
Picture = NDArray[np.uint8]

FILTERS = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX)


def degrade(rng: Rng, picture: Picture) -> Picture:
    """Degrade a picture to a quarter of the side, as a cheap camera and a careless upload would leave it."""
    side = picture.shape[0]
    blur, noise, loss = severities(rng)
    image = blurred(Image.fromarray(picture), 0.2 + 2.0 * blur)
    if rng.random() < 0.3:
        between = int(side * rng.uniform(0.4, 0.9))
        image = noisy(rng, resized(rng, image, between), rng.uniform(1, 8))
        image = blurred(compressed(image, rng.random()), rng.uniform(0.2, 0.8))
    image = noisy(rng, resized(rng, image, side // SCALE), 1 + 15 * noise)
    return np.asarray(compressed(image, loss))


def severities(rng: Rng) -> tuple[float, float, float]:
    """Draw how strong blur, noise and compression are, from 0 to 1: alike, or each by itself.

    What is bad is mostly bad throughout, and a good photo has to stay one.
    """
    alike = rng.random() < 0.5
    blur, noise, loss = np.full(3, rng.random()) if alike else rng.random(3)
    return float(blur), float(noise), float(loss)


def enlarged(small: Picture) -> Picture:
    """Enlarge a degraded picture to full size by interpolation, as the runtime does for the network."""
    side = small.shape[0] * SCALE
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def blurred(image: Image.Image, pixels: float) -> Image.Image:
    """Blur a picture as a lens out of focus does."""
    return image.filter(ImageFilter.GaussianBlur(pixels))


def resized(rng: Rng, image: Image.Image, side: int) -> Image.Image:
    """Shrink a picture by one of the usual filters."""
    return image.resize((side, side), FILTERS[rng.integers(len(FILTERS))])


def noisy(rng: Rng, image: Image.Image, strength: float) -> Image.Image:
    """Add a sensor's noise to a picture: coloured, or the same in all channels."""
    values = np.asarray(image, dtype=np.float32)
    shape = values.shape if rng.random() < 0.7 else (*values.shape[:2], 1)
    return Image.fromarray((values + rng.normal(0, strength, shape)).clip(0, 255).astype(np.uint8))


def compressed(image: Image.Image, loss: float) -> Image.Image:
    """Compress a picture as JPEG, at a quality of 95 down to 45."""
    return Image.fromarray(jpeg(np.asarray(image), round(95 - 50 * loss)))


def jpeg(picture: Picture, quality: int) -> Picture:
    """Return what JPEG leaves of a picture at a given quality."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))
