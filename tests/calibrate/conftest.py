"""One small bundle in halves, its photos, and one observation of them, for all tests of the calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.quantised_system import FACTOR as VAE_FACTOR
from support.quantised_system import TILE, write_half_bundle

from dit4sr.calibrate.observe.observer import observe
from dit4sr.calibrate.observe.photos import SCALE, folder_cases
from dit4sr.calibrate.observe.statistics import Statistics
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.settings import Settings

SIDE = TILE * VAE_FACTOR // SCALE


@pytest.fixture(scope="session")
def half_bundle(tmp_path_factory) -> Bundle:
    return write_half_bundle(tmp_path_factory.mktemp("half") / "bundle")


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Two photos of one tile; the second knows what it ought to become."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        Image.fromarray(picture(SIDE, number)).save(folder / f"photo{number}.png")
    Image.fromarray(picture(SCALE * SIDE, 1)).save(folder / "photo1-truth.png")
    return folder


@pytest.fixture(scope="session")
def observed(half_bundle, photos, tmp_path_factory) -> tuple[Statistics, Path]:
    file = tmp_path_factory.mktemp("observed") / "seen.npz"
    cases = folder_cases(photos, half_bundle.card)
    return observe(half_bundle, cases, Settings(), file, threads=1), file


@pytest.fixture(scope="session")
def statistics(observed) -> Statistics:
    return observed[0]


def picture(side: int, seed: int) -> np.ndarray:
    """Gradients, an edge and a little noise."""
    noise = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    planes = np.stack([rows, columns, (rows + columns > 0.8 + 0.2 * seed) * 1.0], axis=-1) * 180 + 30
    return (planes + noise.normal(0, 6, planes.shape)).clip(0, 255).astype(np.uint8)
