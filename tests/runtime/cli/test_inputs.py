"""What people name, and what comes back: folders, files, patterns, pipes, and misuse."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from PIL import Image
from support.outputs import digests, names
from support.photos import make_photo

from dit4sr.runtime import cli
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.photo import WRITABLE
from dit4sr.runtime.noise.streams import Rng
from dit4sr.runtime.sampling.solver import Solver

MAIN = "from dit4sr.runtime.cli import main; main()"


def test_a_folder_becomes_a_folder(upscale, folder, tmp_path):
    assert upscale(folder, "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["a.png", "b.jpg"]
    assert upscale("-i", folder, "-o", tmp_path / "all", "--recursive", "--suffix", "_x4", "-x", "webp") == 0
    assert names(tmp_path / "all") == ["a_x4.webp", "b_x4.webp", "deeper/c_x4.webp"]


def test_one_picture_becomes_a_file(upscale, folder, tmp_path):
    assert upscale(folder / "a.png", "-o", tmp_path / "new" / "big.jpg", "-s", "2") == 0
    with Image.open(tmp_path / "new" / "big.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (16, 16))


def test_patterns_are_expanded_and_repeats_taken_once(upscale, folder, tmp_path):
    assert upscale(f"{folder}/*.png", folder / "a.png", folder, "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["a.png", "b.jpg"]


def test_standard_input_and_output(toy_bundle, folder):
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "-", "-o", "-", "-m", str(toy_bundle), "--steps", "1"],
        input=(folder / "a.png").read_bytes(),
        capture_output=True,
        check=True,
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (32, 32))
    # One line in a pipe.
    assert re.fullmatch(r"1 picture restored in [0-9.]+ s, seed 0\n", done.stderr.decode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no INPUT"),
        (["{in}"], "no --output"),
        (["{in}/absent.png", "-o", "{out}"], "cannot be read"),
        (["{in}/*.tif", "-o", "{out}"], "no pictures"),
        (["{in}/notes.md", "-o", "{out}"], "no picture"),
        (["{in}", "-o", "-"], "2 pictures into one output"),
        (["-", "-o", "{out}"], "expected a file ending in"),
        (["{in}/a.png", "-o", "{out}.gif"], "not written as GIF; expected a file ending in png, jpg"),
        (["{in}", "-o", "{out}.heic"], "not written as HEIC; expected a file ending in png, jpg"),
        (["{in}", "-o", "{out}.png"], "2 pictures into one output, {out}.png; expected a folder for -o"),
        (["{in}", "-o", "{in}"], "is itself an input"),
        (["{in}", "-o", "{in}", "--overwrite"], "is itself an input"),
        (["{in}/a.png", "-o", "{in}/a.png", "--overwrite"], "is itself an input"),
        (["{in}", "-o", "{out}", "--seed", "x"], "no seed"),
        (["{in}", "-o", "{out}", "--seed", "-1"], "no seed"),
        (["{in}", "-o", "{out}", "--backend", "vulkan"], "no backend 'vulkan'"),
        (["{in}", "-o", "{out}", "--backend", "tensorrt"], "holds no engines"),
        (["{in}", "-o", "{out}", "--device", "cuda"], "no CUDA device"),
        (["{in}", "-o", "{out}", "--resume", "--overwrite"], "exclude one another"),
        (["{in}", "-o", "{out}", "--tile", "30"], "a multiple of 8"),
        (["{in}", "-o", "{out}", "--steps", "0"], "0 steps"),
        (["{in}", "-o", "{out}", "--prompt", "a cat"], "no text encoders"),
        (["{in}", "-o", "{out}", "--prompts", "{in}/notes.md"], "is no JSON"),
        (["{in}", "-o", "{out}", "--captioner", "absent-captioner"], "not installed"),
        (["{in}", "-o", "{out}", "--captioner", "false"], "status 1"),
        (["{in}", "-o", "{out}", "--captioner", "'"], "is no command"),
        (["{in}", "-o", "{in}/notes.md/out"], "Not a directory"),
        (["{in}", "-o", "{out}", "--json", "{in}"], "cannot be written"),
        (["{in}", "-o", "-", "--json", "-"], "cannot both go"),
    ],
)
def test_misuse_is_one_clear_line(upscale, folder, tmp_path, capfd, arguments, words):
    before = digests(folder)
    filled = [text.format(**{"in": folder, "out": tmp_path / "out"}) for text in arguments]
    assert upscale(*filled) in {2, 3, 4}
    error = capfd.readouterr().err
    assert words.format(**{"in": folder, "out": tmp_path / "out"}) in error
    assert "Traceback" not in error
    assert digests(folder) == before
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []
    assert list(tmp_path.glob("out.*")) == []


def test_two_pictures_do_not_become_one(upscale, folder, tmp_path, capfd):
    Image.fromarray(make_photo(8, 8)).save(folder / "a.jpg")
    assert upscale(folder, "-o", tmp_path / "out", "-x", "png") == 2
    assert "a.jpg and a.png would both become" in capfd.readouterr().err


def test_a_bundle_that_is_none(folder, tmp_path, capfd):
    assert run_command(command, [str(folder), "-o", str(tmp_path / "out"), "-m", str(folder)]) == 2
    assert "holds no manifest.json" in capfd.readouterr().err


def test_choices_are_those_of_the_library():
    """They are spelled out in the command so that --help needs no NumPy."""
    assert tuple(each.value for each in Solver) == cli.SOLVERS
    assert tuple(each.value for each in Rng) == cli.RNGS
    assert tuple(each.value for each in ColourFix) == cli.COLOUR_FIXES
    assert set(cli.ENDINGS) - {"auto"} < set(WRITABLE)
