"""Photographs that Python packages install with themselves: nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dit4sr.runtime.errors import MissingDependencyError

Picture = NDArray[np.uint8]

FOLDERS = {"skimage": "data", "sklearn": "datasets/images", "matplotlib": "mpl-data/sample_data"}
PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}

TRAINING: Mapping[str, tuple[str, ...]] = {
    "skimage": (
        "brick.png",
        "camera.png",
        "cell.png",
        "coins.png",
        "color.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    ),
    "sklearn": ("china.jpg", "flower.jpg"),
    "matplotlib": ("grace_hopper.jpg",),
}
HELD_OUT = ("astronaut", "chelsea", "coffee")
"""Photographs of scikit-image that are for testing alone."""

WEIGHTS = {"sklearn": 3, "matplotlib": 3}
"""How much more often a package's photographs are drawn than scikit-image's, many of which are textures."""


def training_photographs() -> list[Image.Image]:
    """Every photograph that may be learnt from, as often as it is to be drawn."""
    pictures = []
    for package, names in TRAINING.items():
        pictures += [_open(package, name) for name in names] * WEIGHTS.get(package, 1)
    return pictures


def training_photograph(name: str) -> Picture:
    """Read one of the photographs that may be learnt from."""
    [package] = [package for package, names in TRAINING.items() if name in names]
    return np.asarray(_open(package, name))


def held_out_photograph(name: str) -> Picture:
    """Read a photograph that the training never sees."""
    if name not in HELD_OUT:
        raise ValueError(f"{name} is not held out")
    return np.asarray(_open("skimage", f"{name}.png"))


@cache
def _open(package: str, name: str) -> Image.Image:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise MissingDependencyError(
            f"the training photographs come with {PACKAGES[package]}, which is not installed",
            fix="pip install 'dit4sr[export,train]'",
        )
    with Image.open(Path(found.origin).parent / FOLDERS[package] / name) as picture:
        return picture.convert("RGB")
