"""The command in this process, and a folder of pictures for it."""

from __future__ import annotations

import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def upscale(toy_bundle):
    """Run the command in this process; a few steps are enough."""

    def run(*arguments) -> int:
        words = [str(argument) for argument in arguments]
        return run_command(command, ["-m", str(toy_bundle), "--steps", "2", "--threads", "1", *words])

    return run


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them deeper down, and what is none."""
    place = tmp_path / "in"
    (place / "deeper").mkdir(parents=True)
    for i, name in enumerate(["a.png", "b.jpg", "deeper/c.png"]):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    (place / "notes.md").write_text("no picture")
    (place / ".hidden.png").write_text("no picture")
    return place
