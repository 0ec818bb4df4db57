"""What a visitor looks at: a photo, then the same before and after under a line, or what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import Photo, Picture, resized
from dit4sr.runtime.image.writing import write_photo
from dit4sr.runtime.page.shelf import Shelf

HERE = Path(__file__)
STYLE = HERE.with_suffix(".css").read_text(encoding="utf-8")
SCRIPT = HERE.with_suffix(".js").read_text(encoding="utf-8")

MOST_SIDE = 4096
"""Pixels of a shown picture's side: more are sent for nothing, and phones refuse them."""
QUALITY = 92
"""Of the JPEG files that are shown; the download is a file of its own."""
MOST_PROFILE = 1 << 14
"""Bytes of a colour profile that shown pictures carry."""

EMPTY = '<div class="hint"><p>Drop a photo, or choose one of the samples.</p></div>'


@dataclass(frozen=True)
class Shown:
    """A file that the page shows, and its size."""

    address: str
    width: int
    height: int

    @classmethod
    def of(cls, photo: Photo, shelf: Shelf, name: str) -> Shown:
        """Put a picture on the shelf as browsers can show it: of 8 bits a channel, and not too large."""
        size = _shown_size(photo.size)
        rgb, alpha = photo.in_eight_bits().rgb, photo.in_eight_bits().alpha
        small = replace(
            photo,
            rgb=_reduced(rgb, size),
            alpha=None if alpha is None else _reduced(alpha, size),
            exif=b"",
            icc=photo.icc if len(photo.icc) <= MOST_PROFILE else b"",
        )
        content, _ = write_photo(small, "JPEG", quality=QUALITY)
        place = shelf.place(name)
        write_whole(place, content)
        return cls(shelf.address(place), *size)

    def image(self, kind: str, said: str) -> str:
        """The element that shows it."""
        return (
            f'<div class="side {kind}"><img src="{escape(self.address)}" width="{self.width}" '
            f'height="{self.height}" alt="{escape(said)}" draggable="false"></div>'
        )


def photo_alone(name: str, shown: Shown, final: tuple[int, int], facts: Sequence[str]) -> str:
    """A photo that is to be restored, as large as what becomes of it."""
    return (
        f'<figure class="looking" style="{_proportions(*_shown_size(final))}"><div class="stage alone">'
        f"{shown.image('photo', name)}</div>{_caption(name, facts)}</figure>"
    )


def comparison(name: str, before: Shown, after: Shown, facts: Sequence[str]) -> str:
    """A photo enlarged bicubically and restored, with a line between them to be moved, and lenses."""
    return (
        f'<figure class="looking" style="{_proportions(after.width, after.height)}"><div class="stage">'
        f"{after.image('restored', f'{name}: restored')}{before.image('bicubic', f'{name}: bicubic')}"
        '<span class="label left" aria-hidden="true">Bicubic</span>'
        '<span class="label right" aria-hidden="true">Restored</span>'
        '<input type="range" min="0" max="100" step="any" value="50" '
        f'aria-label="{escape(name)}: percent shown before restoring"><div class="line"></div></div>'
        '<div class="below">'
        f"{_caption(name, facts)}{_LENSES}</div></figure>"
    )


def problem(line: str) -> str:
    """What went wrong, in a line."""
    return f'<div class="hint wrong" role="alert"><p>{escape(line)}</p></div>'


def remark(line: str) -> str:
    """What is to be said in place of a picture."""
    return f'<div class="hint" role="status"><p>{escape(line)}</p></div>'


_LENSES = (
    '<div class="lenses" role="group" aria-label="Zoom">'
    '<button type="button" data-zoom="out" aria-label="Smaller">−</button>'
    '<button type="button" data-zoom="fit">Fit</button>'
    '<button type="button" data-zoom="whole" title="One pixel for each">1:1</button>'
    '<button type="button" data-zoom="in" aria-label="Larger">+</button>'
    '<output aria-live="polite"></output></div>'
)


def _caption(name: str, facts: Sequence[str]) -> str:
    said = " · ".join(fact for fact in facts if fact)
    return f"<figcaption><strong>{escape(name)}</strong>{escape(said)}</figcaption>"


def _proportions(width: int, height: int) -> str:
    return f"--width: {width}; --height: {height}"


def _shown_size(size: tuple[int, int]) -> tuple[int, int]:
    shrink = max(1.0, max(size) / MOST_SIDE)
    return max(1, round(size[0] / shrink)), max(1, round(size[1] / shrink))


def _reduced(picture: Picture, size: tuple[int, int]) -> Picture:
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def bicubic(photo: Photo, size: tuple[int, int]) -> Photo:
    """A photo enlarged as anybody would without a model."""
    alpha = None if photo.alpha is None else resized(photo.alpha, size)
    return replace(photo, rgb=resized(photo.rgb, size), alpha=alpha)
