"""Options without effect are said once a job; those with one are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for i, name in enumerate(["a.png", "b.png"]):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    (place / "captions.json").write_text(json.dumps({"absent.png": "a cat"}))
    return place


@pytest.fixture
def warnings_of(toy_bundle, folder, tmp_path, capfd):
    """Run a job on two pictures of one tile each, and return what it warns of."""

    def run(*words: object, bundle: Path = toy_bundle) -> list[str]:
        filled = [str(word).format(**{"in": folder}) for word in words]
        common = [str(folder), "-o", str(tmp_path / "out"), "-m", str(bundle), "--steps", "1", "--force"]
        assert run_command(command, [*common, *filled]) == 0
        lines = capfd.readouterr().err.splitlines()
        return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]

    return run


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (["--guidance", 1, "--negative-prompt", "x"], "--negative-prompt has no effect: guidance is off"),
        (["--cfg", 1, "--guidance-interval", 0, 1], "--guidance-interval has no effect: guidance is off"),
        (
            ["--guidance", 4, "--guidance-interval", 0, 0.1],
            "--guidance has no effect: no step lies in the guidance interval",
        ),
        (["--quality-prompt", "x"], "--quality-prompt has no effect: the bundle has no text encoders"),
        (
            ["--prompts", "{in}/captions.json"],
            "--prompts has no effect: no picture has any of its names, such as 'absent.png'",
        ),
        (["--quality", 50], "--quality has no effect: nothing is written as JPEG or WEBP"),
        (["--tile", 64], "--tile had no effect: no picture is larger than a tile"),
        (
            ["-t", 32, "--tile-pad", 8, "--tile-batch", 2],
            "--tile and --tile-overlap and --tile-batch had no effect: no picture is larger than a tile",
        ),
    ],
)
def test_an_option_without_effect_is_said_once(warnings_of, words, warning):
    assert warnings_of(*words) == [warning]


def test_what_has_an_effect_is_not_said(warnings_of):
    assert warnings_of() == []
    assert warnings_of("--guidance-interval", 0, 1, "--quality", 50, "-x", "jpg", "--tile", 16) == []


def test_a_tile_that_holds_what_the_bundles_own_does_not_has_an_effect(warnings_of, folder):
    Image.fromarray(make_photo(20, 20)).save(folder / "large.png")
    assert warnings_of("--tile", 128) == []


def test_a_text_beside_a_picture_is_said_and_not_read_where_no_words_are(warnings_of, folder):
    (folder / "b.txt").write_text("a cat")
    assert warnings_of() == [f"{folder / 'b.txt'} is not read: the bundle has no text encoders"]


def test_words_for_a_bundle_that_reads_them_are_used(warnings_of, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    reading = add_text_encoders(write_toy_bundle(tmp_path / "reading"))
    (folder / "b.txt").write_text("a cat")
    assert warnings_of("--quality-prompt", "sharp", "--negative-prompt", "x", bundle=reading) == []
    assert warnings_of("--prompt", "x", "--prompts", "{in}/captions.json", bundle=reading) == [
        "--prompts has no effect: --prompt is for all pictures"
    ]
