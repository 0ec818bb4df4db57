"""Each of the four commands, asked to end in the middle of its work: it says so, and leaves nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from support.photos import make_photo
from support.processes import children, has_ended


def has_draft(_process, folder):
    return any(path.name.endswith(".partial") for path in folder.iterdir())


def has_child(process, _folder):
    return bool(children(process.pid))


def has_grandchild(process, _folder):
    return len(children(process.pid)) > 1


def has_picture(_process, folder):
    return (folder / "out" / "a.png").exists()


WORK = {
    "export": ("export", ["-o", "out", "--json", "record.json"], has_draft),
    "calibrate": ("calibrate", ["-o", "out", "--json", "record.json"], has_draft),
    "bench": ("bench", ["--json", "record.json"], has_child),
    "a captioner": (
        "runtime",
        ["in", "-o", "out", "--captioner", "sh -c 'sleep 600 & wait' name"],
        has_grandchild,
    ),
    "upscale": ("runtime", ["in", "-o", "out", "--steps", "20", "--json", "record.json"], has_picture),
}
"""The folder of each command, its arguments, and what shows that it is in the middle of its work."""


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("export", signal.SIGTERM),
        ("calibrate", signal.SIGHUP),
        ("bench", signal.SIGTERM),
        ("upscale", signal.SIGHUP),
        ("a captioner", signal.SIGTERM),
        ("a captioner", signal.SIGINT),
        ("upscale", signal.SIGTERM),
    ],
)
def test_a_command_that_is_asked_to_end_leaves_nothing(tmp_path, monkeypatch, name, number):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    for picture, side in (("a.png", 8), ("b.png", 96)):
        Image.fromarray(make_photo(side, side)).save(tmp_path / "in" / picture)
    folder, arguments, is_at_work = WORK[name]
    script = f"from dit4sr.{folder}.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: is_at_work(process, tmp_path) or process.poll() is not None)
        assert process.returncode is None, process.stderr.read()
        offspring = children(process.pid)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    farewell = "interrupted" if number is signal.SIGINT else f"ended by {number.name}"
    assert error.splitlines()[-1] == f"error: {farewell}"
    assert "Traceback" not in error
    assert all(has_ended(pid) for pid in offspring)
    assert [str(path) for path in tmp_path.rglob("*.partial")] == []
    assert not (tmp_path / "out" / "manifest.json").exists()


def wait_until(is_so, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
