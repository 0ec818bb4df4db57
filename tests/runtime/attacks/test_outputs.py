"""Outputs that cannot be written: exit code 2, one line, and nothing of anybody's is lost."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.export.cli import command as export
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import atomic_directory, write_whole

FULL = Path("/dev/full")
NEEDS_FULL = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
UPSCALE = "from dit4sr.runtime.cli import main; main()"
EXPORT = "from dit4sr.export.cli import main; main()"


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def refused(code: int, error: str, says: str = "") -> None:
    assert code == 2, error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "internal error" not in error
    assert says in error


def command_line(kind: str, picture: Path, bundle: Path) -> list[str]:
    """A command with something to say on standard output."""
    words = {
        "a picture": [UPSCALE, picture, "-o", "-", "-m", bundle, "--steps", "1"],
        "records": [UPSCALE, picture, "-o", picture.parent / "out", "-m", bundle, "--steps", "1", "--json"],
        "a table": [UPSCALE, picture, "-o", picture.parent / "out", "-m", bundle, "--dry-run"],
        "help": [UPSCALE, "--help"],
        "a report": [EXPORT, "--verify", bundle, "--json", "-"],
    }[kind]
    return [sys.executable, "-c", *map(str, words)]


def finished(words: list[str], stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@NEEDS_FULL
@pytest.mark.parametrize("kind", ["a picture", "records", "a table", "help", "a report"])
def test_standard_output_on_a_full_disk(toy_bundle, picture, kind):
    with FULL.open("wb") as full:
        done = finished(command_line(kind, picture, toy_bundle), stdout=full)
    refused(done.returncode, done.stderr, "No space left on device")


@pytest.mark.parametrize("kind", ["a picture", "records", "help"])
def test_standard_output_that_nobody_reads(toy_bundle, picture, kind):
    reader, writer = os.pipe()
    os.close(reader)
    done = finished(command_line(kind, picture, toy_bundle), stdout=writer)
    os.close(writer)
    refused(done.returncode, done.stderr, "Broken pipe")


def test_standard_streams_that_are_closed(toy_bundle, picture):
    line = command_line("a picture", picture, toy_bundle)
    done = finished(["sh", "-c", 'exec "$@" >&-', "sh", *line])
    refused(done.returncode, done.stderr, "standard output is closed")
    line[line.index(str(picture))] = "-"
    done = finished(["sh", "-c", 'exec "$@" <&-', "sh", *line])
    refused(done.returncode, done.stderr, "standard input is closed")
    assert done.stdout == ""


@NEEDS_FULL
def test_records_on_a_full_disk(toy_bundle, picture, tmp_path, capfd):
    words = [picture, "-o", tmp_path / "out", "-m", toy_bundle, "--steps", "1", "--json", FULL]
    code = run_command(upscale, [str(word) for word in words])
    refused(code, capfd.readouterr().err, "/dev/full cannot be written (No space left on device)")


NOWHERE = ["/dev/full/out", "/dev/null/out.png", "/proc/out", "/proc/out.png", "/sys/out.png", "{photo}/out"]
"""Places where nobody can write, not even the user whom no permission stops."""


@pytest.mark.parametrize("place", NOWHERE)
def test_an_output_where_nobody_can_write(toy_bundle, picture, capfd, place):
    place = place.format(photo=picture)
    code = run_command(upscale, [str(picture), "-o", place, "-m", str(toy_bundle), "--steps", "1"])
    printed = capfd.readouterr()
    refused(code, printed.err)
    assert printed.out == ""


@pytest.mark.parametrize("place", ["/dev/null/bundle", "{photo}/bundle"])
def test_a_bundle_where_nobody_can_write(picture, capfd, place):
    words = ["--components", "step", "--no-verify", "-o", place.format(photo=picture)]
    code = run_command(export, words)
    *_, last = capfd.readouterr().err.splitlines(keepends=True)
    refused(code, last, "cannot be written")


def test_a_device_is_not_replaced_by_a_file(toy_bundle, tmp_path, capfd):
    """With a rename it would be gone, for everybody."""
    os.mkfifo(tmp_path / "device")
    words = ["--verify", str(toy_bundle), "--force", f"--json={tmp_path / 'device'}"]
    code = run_command(export, words)
    refused(code, capfd.readouterr().err, "expected a file in a folder")
    with pytest.raises(BadInputError, match="no ordinary file"):
        write_whole(tmp_path / "device", b"", replace=True)
    assert stat.S_ISFIFO((tmp_path / "device").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["device"]


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BadInputError, match="Read-only file system"), atomic_directory(tmp_path / "a"):
        pass


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE])
def test_what_the_system_refuses_is_no_fault_of_ours(capfd, code):
    @click.command()
    def command() -> None:
        raise OSError(code, os.strerror(code), "/the/place")

    refused(run_command(command, []), capfd.readouterr().err, f"/the/place: {os.strerror(code)}")


def test_memory_that_runs_out_has_its_code(capfd):
    @click.command()
    def command() -> None:
        raise MemoryError

    assert run_command(command, []) == 7
    assert capfd.readouterr().err.startswith("error: out of memory")


def test_a_message_neither_moves_the_cursor_nor_fills_the_screen(capfd):
    @click.command()
    def command() -> None:
        raise BadInputError("\x1b[2J\udcff\u202e " + "x" * 100_000)

    assert run_command(command, []) == 2
    error = capfd.readouterr().err
    assert error.startswith(r"error: \x1b[2J\udcff\u202e xxx")
    assert len(error) < 300


def test_a_name_that_is_no_text_comes_through(toy_bundle, tmp_path, capfd):
    """To Linux a name is bytes; whoever reads the records finds the file by them."""
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    source = (tmp_path / "a.png").rename(tmp_path / "in" / name)
    words = [tmp_path / "in", "-o", tmp_path / "out", "-m", toy_bundle, "--steps", "1", "--resume", "--json"]
    for status in ("done", "skipped"):
        assert run_command(upscale, [str(word) for word in words]) == 0
        printed = capfd.readouterr()
        record = json.loads(printed.out)
        assert (record["status"], Path(record["input"])) == (status, source)
        assert printed.err.count("\n") == 1  # what became of the job
    assert (tmp_path / "out" / name).is_file()
    assert run_command(upscale, [str(word) for word in words[:-1]] + ["--dry-run"]) == 0
    assert r"caf\udce9.png" in capfd.readouterr().out
