"""Files and directories appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import atomic_directory, write_whole


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_directory_appears_at_the_end(tmp_path):
    with atomic_directory(tmp_path / "deep" / "out") as scratch:
        (scratch / "file").write_text("whole")
        assert not (tmp_path / "deep" / "out").exists()
    assert listing(tmp_path) == ["deep", "deep/out", "deep/out/file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_nothing_behind(tmp_path, error):
    with pytest.raises(error), atomic_directory(tmp_path / "out") as scratch:
        (scratch / "file").write_text("half")
        raise error
    assert listing(tmp_path) == []


def test_replacing_swaps_old_for_new(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with atomic_directory(tmp_path / "out", replace=True) as scratch:
        (scratch / "new").write_text("new")
        assert listing(tmp_path / "out") == ["old"]
    assert listing(tmp_path) == ["out", "out/new"]


def test_failure_while_replacing_keeps_the_old(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(ValueError, match="no"), atomic_directory(tmp_path / "out", replace=True):
        raise ValueError("no")
    assert listing(tmp_path) == ["out", "out/old"]


@pytest.mark.parametrize(
    ("content", "kernel"),
    [([], True), (["theirs"], True), (["theirs"], False)],
    ids=["empty", "full", "full, plain rename"],
)
def test_a_directory_that_appears_meanwhile_stays(tmp_path, content, kernel, monkeypatch):
    """A plain rename, where the kernel has no better one, takes the place of an empty directory alone."""
    if not kernel:
        monkeypatch.setattr("dit4sr.runtime.files.whole._rename_by_kernel", lambda *_: False)
    target = tmp_path / "out"
    with pytest.raises(BadInputError, match="appeared meanwhile"), atomic_directory(target) as scratch:
        (scratch / "ours").write_text("ours")
        target.mkdir()
        for name in content:
            (target / name).write_text(name)
    assert listing(tmp_path) == ["out", *(f"out/{name}" for name in content)]


def test_two_writers_of_one_file_never_mix(tmp_path, monkeypatch):
    """The second begins and ends while the first has written and not yet put in place."""
    target, sync = tmp_path / "a.png", os.fsync
    others = [lambda: write_whole(target, b"second", replace=True)]

    def interleaved(handle):
        sync(handle)
        if others:
            others.pop()()
            assert target.read_bytes() == b"second"

    monkeypatch.setattr(os, "fsync", interleaved)
    write_whole(target, b"the first, which is longer", replace=True)
    assert target.read_bytes() == b"the first, which is longer"
    assert listing(tmp_path) == ["a.png"]


@pytest.mark.parametrize("name", [".a.png.partial", ".a.png.0000000000000000.partial"])
def test_a_planted_link_is_not_written_through(tmp_path, name, monkeypatch):
    """Whether under the name that once was used, or under one that was guessed."""
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / name).symlink_to(tmp_path / "victim")
    monkeypatch.setattr(os, "urandom", bytes)
    with suppress(BadInputError):
        write_whole(tmp_path / "a.png", b"ours", replace=True)
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert (tmp_path / name).is_symlink()


def test_an_interrupted_overwrite_leaves_the_original_as_long_as_it_was(tmp_path, monkeypatch):
    """A writer that was killed after linking leaves a second name of the original."""
    write_whole(tmp_path / "a.png", b"the original")
    os.link(tmp_path / "a.png", tmp_path / ".a.png.partial")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.png", b"new", replace=True)
    assert (tmp_path / "a.png").read_bytes() == b"the original"


def test_a_name_of_any_length_has_a_draft(tmp_path):
    write_whole(tmp_path / ("ä" * 125 + ".png"), b"x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]


def test_a_killed_writer_leaves_the_target_alone(tmp_path):
    script = (
        "import sys, time, pathlib\nfrom dit4sr.runtime.files.whole import atomic_directory\n"
        "with atomic_directory(pathlib.Path(sys.argv[1]) / 'out') as scratch:\n"
        "    (scratch / 'file').write_text('half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"ready\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    time.sleep(0.01)
    assert not (tmp_path / "out").exists()


def test_a_file_written_piece_by_piece_is_whole_or_not_there(tmp_path):
    write_whole(tmp_path / "a", (bytes([i]) for i in range(3)))
    assert (tmp_path / "a").read_bytes() == b"\0\1\2"

    def pieces():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", pieces(), replace=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"\0\1\2")]
