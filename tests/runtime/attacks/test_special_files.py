"""Devices, pipes and endless files wherever a command reads one: an answer at once, and one line."""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.bench.cli import command as bench
from dit4sr.calibrate.cli import command as calibrate
from dit4sr.export.cli import command as export
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.runtime.batch import job
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command

SECONDS = 20
"""How long an answer may take where imports come before it; what is never answered takes for ever."""


def fifo(place: Path) -> None:
    os.mkfifo(place)


def device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def sparse(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(40 << 30)


SPECIAL: tuple[Callable[[Path], None], ...] = (fifo, device, sparse)
EVERY = pytest.mark.parametrize("put", SPECIAL)


@pytest.fixture(autouse=True)
def _answered_in_time() -> Iterator[None]:
    def give_up(*_):
        raise TimeoutError("no answer")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def refused(capfd, command, *words, codes=(2, 5)) -> None:
    assert run_command(command, [str(word) for word in words]) in codes
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "internal error" not in printed.err
    assert printed.err.count("\n") == 1


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@EVERY
@pytest.mark.parametrize("option", ["", "--model", "--prompts"])
def test_files_of_upscale(toy_bundle, picture, tmp_path, capfd, put, option):
    special = tmp_path / "special"
    if option == "--model":
        special.mkdir()
        put(special / "manifest.json")
    else:
        put(special)
    words = [option, special] if option else [special]
    model = [] if option == "--model" else ["-m", toy_bundle]
    refused(capfd, upscale, *([picture] if option else []), *words, *model, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@EVERY
def test_the_ledger(toy_bundle, picture, tmp_path, capfd, put):
    (tmp_path / "out").mkdir()
    put(tmp_path / "out" / ".dit4sr-ledger.jsonl")
    refused(capfd, upscale, picture, "-m", toy_bundle, "-o", tmp_path / "out", "--resume")


def test_a_text_beside_the_picture(picture, tmp_path, capfd):
    bundle = add_text_encoders(write_toy_bundle(tmp_path / "toy"))
    sparse(picture.with_suffix(".txt"))
    refused(capfd, upscale, picture, "-m", bundle, "-o", tmp_path / "out")


@EVERY
def test_a_file_of_the_bundle(toy_bundle, picture, tmp_path, capfd, put):
    bundle = tmp_path / "bundle"
    shutil.copytree(toy_bundle, bundle)
    graph = next(bundle.glob("onnx/step.onnx"))
    graph.unlink()
    put(graph)
    refused(capfd, upscale, picture, "-m", bundle, "-o", tmp_path / "out")
    refused(capfd, export, "--verify", bundle)


def test_standard_input_that_never_ends(toy_bundle, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(job, "LARGEST_PHOTO", 1 << 20)
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(endless))
        refused(capfd, upscale, "-", "-m", toy_bundle, "-o", tmp_path / "out.png")


@EVERY
@pytest.mark.parametrize("file", [path.relative_to(CHECKPOINT) for path in CHECKPOINT.rglob("*.*")], ids=str)
def test_files_of_a_checkpoint(tmp_path, capfd, put, file):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint, copy_function=os.symlink)
    (checkpoint / file).unlink()
    put(checkpoint / file)
    refused(capfd, export, checkpoint, "-o", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@EVERY
@pytest.mark.parametrize("words", [["--describe"], []])
def test_a_checkpoint_that_is_one_special_file(tmp_path, capfd, put, words):
    put(tmp_path / "weights.safetensors")
    refused(capfd, export, tmp_path / "weights.safetensors", *words, "-o", tmp_path / "bundle")


@EVERY
@pytest.mark.parametrize("option", ["--compare", "--picture"])
def test_files_of_bench(tmp_path, capfd, put, option):
    put(tmp_path / "special")
    refused(capfd, bench, option, *[tmp_path / "special"] * (2 if option == "--compare" else 1))


@EVERY
@pytest.mark.parametrize("option", ["--statistics", "--images"])
def test_files_of_calibrate(tmp_path, capfd, put, option):
    special = tmp_path / "special"
    if option == "--images":
        special.mkdir()
        put(special / "photo.png")
    else:
        put(special)
    refused(capfd, calibrate, option, special, "-o", tmp_path / "bundle")
