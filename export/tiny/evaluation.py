"""How good dit4sr-tiny is on photographs it has never seen: against the truth, and against bicubic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dit4sr.export.tiny.data.degradation import enlarged
from dit4sr.export.tiny.data.held_out import Pair
from dit4sr.export.tiny.system import TinySystem
from dit4sr.runtime.console.table import format_table

Picture = NDArray[np.uint8]
Way = Callable[[Pair], Picture]

SETTINGS = (
    (1, 1.0),
    (2, 1.0),
    (4, 1.0),
    (4, 1.25),
    (8, 1.0),
    (8, 1.25),
    (40, 1.0),
    (40, 1.1),
    (40, 1.25),
)
"""Steps and guidance of the restorations that are evaluated."""


@dataclass(frozen=True)
class Score:
    """Mean PSNR, SSIM and sharpness over some pictures."""

    name: str
    psnr: float
    ssim: float
    sharpness: float
    """Energy of the gradients as a share of the truth's."""


def evaluate(
    system: TinySystem, pairs: Sequence[Pair], settings: Sequence[tuple[int, float]] = SETTINGS
) -> list[Score]:
    """Score bicubic, the VAE alone, and restorations at every setting."""
    scores = [
        score("bicubic", lambda pair: enlarged(pair.photo), pairs),
        score("VAE of the truth", lambda pair: system.reconstruct(pair.truth), pairs),
    ]
    for steps, guidance in settings:
        name = f"{steps} steps, guidance {guidance:g}"
        scores.append(score(name, restoring(system, steps, guidance), pairs))
    return scores


def restoring(system: TinySystem, steps: int, guidance: float) -> Way:
    """Return a function that restores the photo of a pair."""
    return lambda pair: system.restore(pair.photo, steps=steps, guidance=guidance, seed=0)


def score(name: str, way: Way, pairs: Sequence[Pair]) -> Score:
    """Compare one way of making pictures with the truth."""
    found = []
    for pair in pairs:
        made = way(pair)
        found.append(
            (
                peak_signal_noise_ratio(pair.truth, made),
                structural_similarity(pair.truth, made, channel_axis=2),
                gradient_energy(made) / gradient_energy(pair.truth),
            )
        )
    psnr, ssim, sharpness = np.mean(found, axis=0)
    return Score(name, float(psnr), float(ssim), float(sharpness))


def gradient_energy(picture: Picture) -> float:
    """Mean square of the differences between neighbouring pixels."""
    values = picture.astype(np.float64)
    return float(sum((np.diff(values, axis=axis) ** 2).mean() for axis in (0, 1)))


def format_scores(scores: Sequence[Score]) -> str:
    """Format scores as a table."""
    rows = [[s.name, f"{s.psnr:.2f}", f"{s.ssim:.3f}", f"{s.sharpness:.2f}"] for s in scores]
    return format_table(["", "PSNR", "SSIM", "sharpness"], rows)


def side_by_side(
    system: TinySystem, pairs: Sequence[Pair], file: Path, settings: Sequence[tuple[int, float]]
) -> None:
    """Save a picture of bicubic, restorations, the VAE alone and the truth, in a row for each pair."""
    rows = []
    for pair in pairs:
        made = [restoring(system, *setting)(pair) for setting in settings]
        rows.append(
            np.concatenate([enlarged(pair.photo), *made, system.reconstruct(pair.truth), pair.truth], axis=1)
        )
    Image.fromarray(np.concatenate(rows)).save(file)
