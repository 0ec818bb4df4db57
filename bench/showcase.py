"""``python -m dit4sr.bench.showcase DEMO``: the sample photographs beside what was made of them.

Reads ``DEMO/restored`` and ``DEMO/records.jsonl``, which dit4sr-upscale wrote; draws one picture for each
photograph (input, bicubic, restored, truth) and prints a table. ``--before-and-after`` draws one photograph
alone, bicubic beside restored: the picture that README begins with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dit4sr.runtime.bundles.built_in import Sample, sample_photographs
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.metrics import psnr_y, ssim

CAPTION = 28
"""Height in pixels of the caption above a picture."""
FRONT = "coffee"
"""The photograph that README shows."""
SEAM = 4
"""Width in pixels of the line between before and after."""


@dataclass(frozen=True)
class ShowcasePhoto:
    """One photograph in all its states, at the size of the truth."""

    name: str
    photo: Picture
    bicubic: Picture
    restored: Picture
    truth: Picture
    seconds: float

    def row(self) -> list[str]:
        """The photograph's line of the table."""
        scores = [
            f"{metric(picture, self.truth):.{digits}f}"
            for metric, digits in ((psnr_y, 2), (ssim, 3))
            for picture in (self.bicubic, self.restored)
        ]
        return [self.name, *scores, f"{self.seconds:.1f} s"]

    def drawn(self) -> Image.Image:
        """The photograph in all its states, side by side and with captions."""
        shown = {
            "input": self.photo,
            f"bicubic, {psnr_y(self.bicubic, self.truth):.1f} dB": self.bicubic,
            f"dit4sr, {psnr_y(self.restored, self.truth):.1f} dB": self.restored,
            "truth": self.truth,
        }
        height, width = self.truth.shape[:2]
        canvas = Image.new("RGB", (width * len(shown), height + CAPTION), "white")
        pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=18)
        for place, (caption, picture) in enumerate(shown.items()):
            canvas.paste(Image.fromarray(picture), (place * width, CAPTION))
            pen.text((place * width + 8, 3), caption, fill="black", font=font)
        return canvas

    def before_and_after(self) -> Image.Image:
        """The photograph enlarged bicubically beside the restored one, without a word in it."""
        height, width = self.truth.shape[:2]
        canvas = Image.new("RGB", (2 * width + SEAM, height), "white")
        canvas.paste(Image.fromarray(self.bicubic), (0, 0))
        canvas.paste(Image.fromarray(self.restored), (width + SEAM, 0))
        return canvas


def showcase_photos(demo: Path) -> list[ShowcasePhoto]:
    """The sample photographs, and what the demonstration made of them."""
    seconds = _seconds(demo / "records.jsonl")
    return [
        _showcase_photo(sample, demo / "restored" / f"{sample.name}.png", seconds)
        for sample in sample_photographs()
    ]


def _showcase_photo(sample: Sample, restored: Path, seconds: dict[str, float]) -> ShowcasePhoto:
    truth = Image.open(sample.truth).convert("RGB")
    photo = Image.open(sample.photo).convert("RGB")
    return ShowcasePhoto(
        sample.name,
        np.asarray(photo.resize(truth.size, Image.Resampling.NEAREST)),
        np.asarray(photo.resize(truth.size, Image.Resampling.BICUBIC)),
        np.asarray(Image.open(restored).convert("RGB")),
        np.asarray(truth),
        seconds.get(sample.name, float("nan")),
    )


def _seconds(records: Path) -> dict[str, float]:
    """The last time that each photograph took, by its name."""
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    return {Path(line["input"]).stem: sum(line["seconds"].values()) for line in lines if "seconds" in line}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("demo", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--before-and-after",
    "front",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Draw {FRONT} alone, bicubic beside restored.",
)
def command(demo: Path, *, front: Path | None) -> None:
    """Draw the sample photographs beside what DEMO/restored holds."""
    try:
        shown = showcase_photos(demo)
    except OSError as error:
        raise BadInputError(f"{error.filename} cannot be read ({error.strerror})", fix="make demo") from None
    if front is not None:
        [photo] = [photo for photo in shown if photo.name == FRONT]
        photo.before_and_after().save(front, quality=90)
        return
    for photo in shown:
        photo.drawn().save(demo / f"{photo.name}.png")
    header = ["", "PSNR (Y) bicubic", "dit4sr", "SSIM bicubic", "dit4sr", "took"]
    click.echo(format_table(header, [photo.row() for photo in shown]))
    click.echo(f"side by side: {', '.join(str(demo / f'{photo.name}.png') for photo in shown)}")


if __name__ == "__main__":
    run_process(command)
