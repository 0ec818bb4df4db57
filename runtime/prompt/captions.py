"""Where a picture's caption comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Place
from dit4sr.runtime.files.json_file import read_json
from dit4sr.runtime.files.reading import read_text
from dit4sr.runtime.prompt.captioner import Captioner


@dataclass(frozen=True)
class Captions:
    """Captions by rank: one for all pictures, a list by name, a text file beside each, a captioner."""

    for_all: str | None = None
    by_name: Mapping[str, str] = field(default_factory=dict)
    captioner: Captioner | None = None
    reads_sidecars: bool = True
    """False for bundles without text encoders: nobody asked for the words of a file that lies beside."""

    def of(self, picture: Place | None) -> str | None:
        """Find the caption of a picture file, or of an input without a name; None if nobody has one."""
        words = self.written(picture)
        if words is None and picture is not None and self.captioner:
            if not isinstance(picture, Path):
                raise BadInputError(f"the captioner reads files, and {picture} is none of this machine")
            return self.captioner.caption(picture)
        return words

    def written(self, picture: Place | None) -> str | None:
        """Find the caption that somebody has written down; None if nobody has."""
        if self.for_all is not None or picture is None:
            return self.for_all
        for name in (picture.name, picture.stem):
            if name in self.by_name:
                return self.by_name[name]
        sidecar = picture.with_suffix(".txt")
        return read_text(sidecar).strip() if self.reads_sidecars and sidecar.is_file() else None


def read_captions(file: Path) -> dict[str, str]:
    """Read a JSON object from picture names, with or without their endings, to captions."""
    captions = read_json(file, is_all_text=False)
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        raise BadInputError(f"{file} is no list of prompts", expected='{"picture.png": "caption", …}')
    return captions
