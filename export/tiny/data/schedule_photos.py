"""``python -m dit4sr.export.tiny.data.schedule_photos FOLDER``: what presets are searched on and judged by.

``FOLDER/search`` are crops of photographs that dit4sr-tiny has learnt from, ``FOLDER/judged`` two thirds of
the crops of the test set and the three samples; every photo has its truth beside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from PIL import Image

from dit4sr.export.tiny.data.held_out import SIDE, Pair, held_out_pairs, spoil
from dit4sr.export.tiny.data.photographs import training_photograph
from dit4sr.runtime.bundles.built_in import sample_photographs
from dit4sr.runtime.console.command import run_process

SEARCH_PLACES = (
    ("china.jpg", 60, 120),
    ("china.jpg", 150, 330),
    ("flower.jpg", 100, 200),
    ("grace_hopper.jpg", 60, 130),
    ("rocket.jpg", 100, 250),
    ("motorcycle_left.png", 200, 300),
)
"""The crops that are searched on: photograph, top and left."""


def search_pairs() -> list[Pair]:
    """Six crops of training photographs, from slightly to badly spoilt."""
    pairs = []
    for place, (name, top, left) in enumerate(SEARCH_PLACES):
        truth = training_photograph(name)[top : top + SIDE, left : left + SIDE]
        severity = (place * 5 % len(SEARCH_PLACES)) / (len(SEARCH_PLACES) - 1)
        blur, noise, quality = 0.6 + 1.1 * severity, 2 + 14 * severity, round(95 - 50 * severity)
        photo = spoil(truth, blur=blur, noise=noise, quality=quality, seed=100 + place)
        pairs.append(Pair(f"{Path(name).stem} {top}+{left}", truth, photo))
    return pairs


def judged_pairs() -> list[Pair]:
    """Eight of the twelve crops of the test set, of all three photographs and every severity."""
    return [pair for place, pair in enumerate(held_out_pairs()) if place % 3 != 2]


def write_photos(folder: Path) -> None:
    """Fill two folders with photos and their truths, as ``dit4sr-calibrate`` reads them."""
    for part, pairs in (("search", search_pairs()), ("judged", judged_pairs())):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            name = pair.name.replace(" ", "-")
            Image.fromarray(pair.photo).save(folder / part / f"{name}.png")
            Image.fromarray(pair.truth).save(folder / part / f"{name}-truth.png")
    for sample in sample_photographs():
        shutil.copyfile(sample.photo, folder / "judged" / f"sample-{sample.photo.name}")
        shutil.copyfile(sample.truth, folder / "judged" / f"sample-{sample.photo.stem}-truth.png")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write the photos into FOLDER."""
    write_photos(folder)


if __name__ == "__main__":
    run_process(command)
