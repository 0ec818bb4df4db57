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
    """A picture at a quarter of the side, as a cheap camera and a careless upload would leave it."""
    side = picture.shape[0]
    image = blurred(rng, Image.fromarray(picture), most=2.2)
    if rng.random() < 0.3:
        between = int(side * rng.uniform(0.4, 0.9))
        image = compressed(rng, noisy(rng, resized(rng, image, between), most=8))
        image = blurred(rng, image, most=0.8)
    image = resized(rng, image, side // SCALE)
    return np.asarray(compressed(rng, noisy(rng, image, most=14)))


def enlarged(small: Picture) -> Picture:
    """Back to full size without adding anything: what the runtime gives the network to look at."""
    side = small.shape[0] * SCALE
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def blurred(rng: Rng, image: Image.Image, most: float) -> Image.Image:
    """Out of focus, by up to so many pixels."""
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, most)))


def resized(rng: Rng, image: Image.Image, side: int) -> Image.Image:
    """Shrunk by one of the usual filters."""
    return image.resize((side, side), FILTERS[rng.integers(len(FILTERS))])


def noisy(rng: Rng, image: Image.Image, most: float) -> Image.Image:
    """Noise of a sensor: coloured, or the same in all channels."""
    values = np.asarray(image, dtype=np.float32)
    shape = values.shape if rng.random() < 0.7 else (*values.shape[:2], 1)
    noise = rng.normal(0, rng.uniform(1, most), shape)
    return Image.fromarray((values + noise).clip(0, 255).astype(np.uint8))


def compressed(rng: Rng, image: Image.Image) -> Image.Image:
    """Through JPEG, at a quality of 45 to 95."""
    return Image.fromarray(jpeg(np.asarray(image), int(rng.integers(45, 96))))


def jpeg(picture: Picture, quality: int) -> Picture:
    """What JPEG leaves of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))
