"""The words a picture is restored with."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUALITY = (
    "A sharp photograph with crisp edges, fine natural texture, clean detail, true colours and realistic "
    "light, taken with a good camera and free of noise and compression."
)
"""Words that are added to every caption."""

NEGATIVE = (
    "blurred, out of focus, noisy, grainy, blocky compression, banding, ringing edges, smeared detail, "
    "waxy skin, plastic look, painting, drawing, cartoon, computer graphics, oversaturated, washed out, "
    "watermark, logo, lettering over the picture, frame, border, warped faces, deformed hands, repeats"
)
"""The negative prompt."""

_MISLEADING = re.compile(
    r"focus|focal|prominent|close-up|black and white|blur|depth|dense|locate|position", re.IGNORECASE
)
"""Captioners say these of the damage or of the composition; the network would paint them."""


@dataclass(frozen=True)
class Wording:
    """The words that captions are completed with to become prompts."""

    quality: str = QUALITY
    negative: str = NEGATIVE

    def positive(self, caption: str) -> str:
        """Make the prompt for a caption, cleaned and completed."""
        return f"{clean(caption)} {self.quality}".strip()


def clean(caption: str) -> str:
    """Drop the sentences of a caption that describe focus, depth or layout."""
    sentences = re.findall(r"[^.?!]*[.?!]*", caption)
    return "".join(sentence for sentence in sentences if not _MISLEADING.search(sentence)).strip()
