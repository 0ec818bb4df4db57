"""The call that makes the same picture without the page: on the command line, and in Python."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.image.photo import WRITABLE
from dit4sr.runtime.page.opening import Opening
from dit4sr.runtime.settings import MOST_PIXELS, Settings


@dataclass(frozen=True)
class Call:
    """What a visitor asked for."""

    photo: str
    """Name of the file, without its folder."""
    opening: Opening
    preset: str | None = None
    prompt: str | None = None
    seed: int = 0
    most_pixels: int = MOST_PIXELS

    @property
    def result(self) -> str:
        """Name of the restored file: of the photo's format where that can be written, else a PNG."""
        path = Path(self.photo)
        ending = path.suffix if path.suffix.lower().lstrip(".") in WRITABLE else ".png"
        return f"{path.stem}-restored{ending}"

    @property
    def settings(self) -> Settings:
        """The same for the library."""
        return Settings(preset=self.preset, most_pixels=self.most_pixels)

    def command_line(self) -> str:
        """A command for a shell; its result has the bytes of the page's."""
        lines = [["dit4sr-upscale", _no_option(self.photo), "-o", _no_option(self.result)]]
        lines.append(self.opening.flags())
        lines.append(["--preset", self.preset] if self.preset else [])
        lines.append(["--prompt", self.prompt] if self.prompt else [])
        lines.append(["--max-pixels", str(self.most_pixels)] if self.most_pixels > MOST_PIXELS else [])
        # A picture's own seed would follow from its name as well.
        lines.append(["--seed", str(self.seed), "--same-seed"])
        return " \\\n  ".join(shlex.join(words) for words in lines if words)

    def python(self) -> str:
        """The same as a program."""
        arguments = [repr(self.photo)]
        arguments += [f"preset={self.preset!r}"] if self.preset else []
        arguments += [f"prompt={self.prompt!r}"] if self.prompt else []
        arguments += [f"most_pixels={self.most_pixels}"] if self.most_pixels > MOST_PIXELS else []
        arguments.append(f"seed={self.seed}")
        return (
            "import dit4sr\n\n"
            f"with dit4sr.Upscaler({', '.join(self.opening.arguments())}) as upscaler:\n"
            f"    restored = upscaler({', '.join(arguments)})\n"
            f"restored.save({self.result!r})\n"
        )


def _no_option(name: str) -> str:
    """A file's name that no command takes for an option."""
    return f"./{name}" if name.startswith("-") else name
