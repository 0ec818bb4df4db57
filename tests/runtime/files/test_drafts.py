"""Drafts that were left go with the next writer of the same target; those of living writers stay."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from dit4sr.runtime.files import drafts
from dit4sr.runtime.files.drafts import AGE, draft_file, draft_folder
from dit4sr.runtime.files.whole import atomic_directory, write_whole
from dit4sr.runtime.interruption import LEFTOVERS

DRAFT = ".out.0123456789abcdef.partial"

FOLDER_WRITER = """
import pathlib, sys, time
from dit4sr.runtime.files.whole import atomic_directory
with atomic_directory(pathlib.Path(sys.argv[1])) as scratch:
    (scratch / "deep").mkdir()
    (scratch / "deep" / "file").write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""
FILE_WRITER = """
import os, pathlib, sys, time
from dit4sr.runtime.files.whole import write_whole
os.fsync = lambda _: (print("ready", flush=True), time.sleep(600))
write_whole(pathlib.Path(sys.argv[1]), b"half")
"""


@pytest.fixture
def writer(tmp_path):
    """Starts a script that writes ``out`` and stops in the middle."""
    running = []

    def start(script):
        process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "out"], stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def write_folder(target):
    with atomic_directory(target) as folder:
        (folder / "file").write_text("whole")


def write_file(target):
    write_whole(target, b"whole")


def partials(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".partial")]


@pytest.mark.parametrize("script", [FOLDER_WRITER, FILE_WRITER], ids=["folder", "file"])
@pytest.mark.parametrize("write", [write_folder, write_file])
def test_what_a_killed_writer_left_goes_with_the_next(writer, tmp_path, script, write):
    process = writer(script)
    process.kill()
    process.wait()
    assert len(partials(tmp_path)) == 1
    write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("script", [FOLDER_WRITER, FILE_WRITER], ids=["folder", "file"])
@pytest.mark.parametrize("write", [write_folder, write_file])
def test_what_a_living_writer_writes_stays(writer, tmp_path, script, write):
    writer(script)
    [draft] = partials(tmp_path)
    os.utime(tmp_path / draft, (0, 0))  # its age says nothing where there are locks
    write(tmp_path / "out")
    assert partials(tmp_path) == [draft]


def test_only_drafts_of_the_same_target_go(tmp_path):
    others = [".out.partial", ".other.0123456789abcdef.partial", ".out.png.0123456789abcdef.partial"]
    for name in [*others, DRAFT]:
        (tmp_path / name).write_bytes(b"x")
    write_file(tmp_path / "out")
    assert sorted(partials(tmp_path)) == sorted(others)


def test_without_locks_only_drafts_of_another_day_go(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    (tmp_path / DRAFT).mkdir()
    write_file(tmp_path / "out")
    assert partials(tmp_path) == [DRAFT]
    os.utime(tmp_path / DRAFT, (time.time() - AGE - 60,) * 2)
    write_folder(tmp_path / "deep" / "out")
    write_whole(tmp_path / "out", b"again", replace=True)
    assert partials(tmp_path) == []


def test_links_and_pipes_of_a_drafts_name_are_left_alone(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / DRAFT).symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / DRAFT.replace("0", "f"))
    write_file(tmp_path / "out")
    assert len(partials(tmp_path)) == 2
    assert (tmp_path / "victim").is_dir()


def test_a_draft_that_another_sweep_took_is_made_again(tmp_path, monkeypatch):
    """Between the making of a draft and its lock."""
    new, taken = drafts._new_folder, []

    def swept(path):
        handle = new(path)
        if not taken:
            taken.append(path)
            path.rmdir()
        return handle

    monkeypatch.setattr(drafts, "_new_folder", swept)
    with draft_folder(tmp_path / "out") as folder:
        assert folder.is_dir()
        assert folder not in taken


@pytest.mark.parametrize("draft", [draft_folder, lambda target: draft_file(target, b"x")])
def test_a_draft_is_among_the_leftovers_while_it_is_one(tmp_path, draft):
    with draft(tmp_path / "out"):
        assert len(partials(tmp_path)) == 1
        LEFTOVERS.remove_all()
        assert partials(tmp_path) == []


def test_what_is_half_removed_cannot_be_put_in_place(tmp_path, monkeypatch):
    """Where the process ends at once, another thread removes a folder that its writer may just be moving."""
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError), atomic_directory(tmp_path / "out"):
        LEFTOVERS.remove_all()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("draft", [draft_folder, lambda target: draft_file(target, b"x")])
@pytest.mark.parametrize("make", ["_new_folder", "_new_file"])
def test_a_signal_that_comes_with_the_making_leaves_nothing(tmp_path, monkeypatch, make, draft):
    new = getattr(drafts, make)

    def interrupted(path):
        os.close(new(path))
        raise KeyboardInterrupt

    monkeypatch.setattr(drafts, make, interrupted)
    with suppress(KeyboardInterrupt), draft(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
