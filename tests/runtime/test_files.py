"""Directories appear whole or not at all, and what may be lost has one home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from dit4sr.runtime.files import atomic_directory, sha256_of, user_cache


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_users_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache("things") == tmp_path / "mine" / "things"
    monkeypatch.delenv("DIT4SR_CACHE")
    assert user_cache("things") == tmp_path / "xdg" / "dit4sr" / "things"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache("things") == tmp_path / "home" / ".cache" / "dit4sr" / "things"


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


def test_a_killed_writer_leaves_the_target_alone(tmp_path):
    script = (
        "import sys, time, pathlib\nfrom dit4sr.runtime.files import atomic_directory\n"
        "with atomic_directory(pathlib.Path(sys.argv[1]) / 'out') as scratch:\n"
        "    (scratch / 'file').write_text('half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"ready\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    time.sleep(0.01)
    assert not (tmp_path / "out").exists()


def test_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
