"""What survives a kill, and how a job goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image
from support.outputs import digests, names
from support.photos import make_photo

from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command

MAIN = "from dit4sr.runtime.cli import main; main()"


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(folder: Path, pictures: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.png"))) < pictures:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_killed_and_resumed_is_the_same_as_never_killed(toy_bundle, tmp_path):
    source, full, out = tmp_path / "in", tmp_path / "full", tmp_path / "out"
    source.mkdir()
    for i in range(50):
        Image.fromarray(make_photo(8 + i % 5, 8, i)).save(source / f"{i:02}.png")
    common = [str(source), "-m", str(toy_bundle), "--steps", "3", "--threads", "1"]
    assert run_command(command, [*common, "-o", str(full)]) == 0

    for pictures in (1, 9, 17, 33):
        process = start([*common, "-o", str(out), "--resume"])
        wait_for(out, pictures)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finished = len(list(out.glob("*.png")))
    assert finished < 50

    log = tmp_path / "log"
    assert run_command(command, [*common, "-o", str(out), "--resume", "--json", str(log)]) == 0
    assert digests(out) == digests(full)
    assert not list(out.rglob("*.partial"))
    statuses = [json.loads(line)["status"] for line in log.read_text().splitlines()]
    assert statuses.count("skipped") == finished
    assert statuses.count("done") == 50 - finished


def test_interrupted_says_how_to_go_on(toy_bundle, tmp_path):
    """Once the first picture's record has been read, the job is on its way whatever the machine's speed."""
    (tmp_path / "in").mkdir()
    for name, side in (("a.png", 8), ("b.png", 96), ("c.png", 96)):  # thousands of steps for those of 96
        Image.fromarray(make_photo(side, side)).save(tmp_path / "in" / name)
    arguments = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(toy_bundle), "--threads", "1"]
    process = start([*arguments, "--steps", "1000", "--tile", "8", "--json", "-"])
    assert b"a.png" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = [line for line in error.decode().splitlines() if line]
    assert lines == ["stopped after 1 of 3; go on with --resume", "error: interrupted"]
    assert names(tmp_path / "out") == ["a.png"]


def test_resuming_doubts_what_has_changed(upscale, folder, tmp_path, capfd):
    out = tmp_path / "out"
    assert upscale(folder, "-o", out) == 0
    assert upscale(folder, "-o", out, "--resume") == 0
    before = digests(out)

    assert upscale(folder, "-o", out, "--resume", "--seed", "1") == 2  # another job
    assert "is not what this job made" in capfd.readouterr().err
    (out / "b.jpg").unlink()  # a line without its picture: to be made again
    assert upscale(folder, "-o", out, "--resume") == 0
    assert digests(out) == before
    (out / "a.png").write_bytes(b"edited")
    assert upscale(folder, "-o", out, "--resume") == 2
    assert (out / "a.png").read_bytes() == b"edited"


def test_a_ledger_that_was_cut_short_is_still_a_ledger(upscale, folder, tmp_path):
    out = tmp_path / "out"
    assert upscale(folder, "-o", out) == 0
    ledger = out / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-20])
    (out / "b.jpg").unlink()
    assert upscale(folder, "-o", out, "--resume") == 0
    assert upscale(folder, "-o", out, "--resume") == 0
    assert names(out) == ["a.png", "b.jpg"]
