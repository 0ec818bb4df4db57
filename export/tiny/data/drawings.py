"""Drawn pictures: dead leaves, gradients, textures, text and line art, in every colour there is."""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator
Picture = NDArray[np.uint8]

SMOOTHING = 2
"""Factor by which shapes are drawn larger, then shrunk, for edges as smooth as a lens makes them."""


def draw_picture(rng: Rng, side: int) -> Picture:
    """Draw leaves over a plain ground, often with words, shade and texture over them."""
    canvas = Image.new("RGB", (side * SMOOTHING, side * SMOOTHING), any_colour(rng))
    scatter_leaves(rng, canvas, count=int(rng.integers(10, 120)))
    if rng.random() < 0.3:
        write_words(rng, canvas, count=int(rng.integers(1, 6)))
    picture = np.asarray(canvas.resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32)
    if rng.random() < 0.6:
        picture = picture * shade(rng, side)
    if rng.random() < 0.5:
        picture = picture + texture(rng, side)
    return picture.clip(0, 255).astype(np.uint8)


def any_colour(rng: Rng) -> tuple[int, int, int]:
    """Draw any colour, all alike."""
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def scatter_leaves(rng: Rng, canvas: Image.Image, count: int) -> None:
    """Draw shapes that hide one another, small ones more often: the edges and sizes of natural scenes."""
    pen, side = ImageDraw.Draw(canvas), canvas.width
    for _ in range(count):
        radius = min(0.6 * side, 0.02 * side / rng.random() ** 0.7)
        x, y = rng.uniform(0, side, 2)
        colour = any_colour(rng)
        match rng.integers(4):
            case 0:
                squeeze = rng.uniform(0.3, 1)
                pen.ellipse((x - radius, y - radius * squeeze, x + radius, y + radius * squeeze), fill=colour)
            case 1:
                pen.rectangle((x - radius, y - radius / 2, x + radius, y + radius / 2), fill=colour)
            case 2:
                corners = rng.normal((x, y), radius, (int(rng.integers(3, 6)), 2))
                pen.polygon([(float(a), float(b)) for a, b in corners], fill=colour)
            case _:
                points = rng.normal((x, y), 2 * radius, (3, 2))
                width = int(rng.integers(1, 7))
                pen.line([(float(a), float(b)) for a, b in points], fill=colour, width=width)


def write_words(rng: Rng, canvas: Image.Image, count: int) -> None:
    """Write random letters in random sizes."""
    pen, side = ImageDraw.Draw(canvas), canvas.width
    letters = list(string.ascii_letters + string.digits + string.punctuation)
    for _ in range(count):
        word = "".join(rng.choice(letters, int(rng.integers(3, 14))))
        x, y = rng.uniform(-0.1 * side, 0.9 * side, 2)
        font = ImageFont.load_default(size=int(rng.integers(10, 60)))
        pen.text((float(x), float(y)), word, fill=any_colour(rng), font=font)


def shade(rng: Rng, side: int) -> NDArray[np.float32]:
    """Make factors that darken a picture along one side, as light falls off."""
    ramp = 1 - 0.5 * rng.random() * np.linspace(0, 1, side, dtype=np.float32)
    return ramp[:, None, None] if rng.random() < 0.5 else ramp[None, :, None]


def texture(rng: Rng, side: int) -> NDArray[np.float32]:
    """Make noise whose spectrum falls like a power of the frequency, grey or coloured."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / frequency ** rng.uniform(0.5, 1.7)
    waves = np.fft.irfft2(spectrum, s=(side, side))
    strength = rng.uniform(3, 30) * (rng.random(3) if rng.random() < 0.4 else np.ones(3))
    result: NDArray[np.float32] = (waves[..., None] / (waves.std() + 1e-6) * strength).astype(np.float32)
    return result
