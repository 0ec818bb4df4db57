"""Captioners: any command, within bounds of time and memory, and ended with all that it has started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from support.processes import has_ended

from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.interruption import LEFTOVERS
from dit4sr.runtime.prompt import captioner
from dit4sr.runtime.prompt.captioner import Captioner


def shell(script):
    return Captioner(f"sh -c '{script}' name")


def test_a_picture_goes_last_where_the_command_names_no_place(tmp_path):
    assert Captioner("echo seen").caption(tmp_path / "x y.png") == f"seen {tmp_path / 'x y.png'}"


def test_captioners_that_fail_are_named(tmp_path):
    with pytest.raises(MissingDependencyError, match="no-such-command"):
        Captioner("no-such-command").caption(tmp_path)
    with pytest.raises(BadInputError, match="status 3 why"):
        Captioner("sh -c 'echo why >&2; exit 3'").caption(tmp_path)
    with pytest.raises(BadInputError, match="empty"):
        Captioner("  ")


@pytest.mark.parametrize("endless", ["yes", "yes >&2"])
def test_a_captioner_that_never_stops_printing_fails(tmp_path, monkeypatch, endless):
    monkeypatch.setattr(captioner, "CAPTIONER_TIMEOUT", 1.0)
    with pytest.raises(BadInputError, match=r"does not stop printing|is not done with .* after 1 seconds"):
        shell(endless).caption(tmp_path)


def test_what_a_captioner_says_aside_is_read_but_not_kept(tmp_path):
    script = "head -c 3000000 /dev/zero >&2; echo last >&2; exit 3"
    with pytest.raises(BadInputError, match=r"status 3 .*last") as failure:
        shell(script).caption(tmp_path)
    assert len(str(failure.value)) < 2 * captioner._LAST_WORDS


@pytest.mark.parametrize(
    "script",
    [
        "sleep 600 & echo $! > PIDS; wait",
        "sleep 600 & echo $! > PIDS",  # which ends itself, and leaves one that may still print
        "sleep 600 & echo $! > PIDS; yes",
    ],
)
def test_the_children_of_a_captioner_end_with_it(tmp_path, monkeypatch, script):
    monkeypatch.setattr(captioner, "CAPTIONER_TIMEOUT", 0.5)
    pids = tmp_path / "pids"
    with pytest.raises(BadInputError):
        shell(script.replace("PIDS", str(pids))).caption(tmp_path)
    assert has_ended(int(pids.read_text()))


@pytest.mark.parametrize("end", [KeyboardInterrupt, None], ids=["interrupted", "left at once"])
def test_a_captioner_ends_with_the_process_that_waits_for_it(tmp_path, monkeypatch, end):
    pids = tmp_path / "pids"

    def interrupted(*_):
        while not pids.exists() or not pids.read_text().endswith("\n"):
            time.sleep(0.01)
        if end:
            raise end
        LEFTOVERS.remove_all()

    monkeypatch.setattr(captioner._Beginning, "join", interrupted)
    with pytest.raises((KeyboardInterrupt, BadInputError)):
        shell(f"sleep 600 & echo $! > {pids}; wait").caption(tmp_path)
    assert has_ended(int(pids.read_text()))


@pytest.mark.parametrize("name", ["-rf.png", "--help.png", "-.png"])
def test_no_file_name_is_taken_for_an_option(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("seen")
    picture = Path(name)
    assert Captioner("cat").caption(picture) == "seen"
    assert Captioner("cat {} {}").caption(picture) == "seenseen"


def test_a_file_name_of_any_bytes_reaches_the_captioner(tmp_path):
    picture = tmp_path / os.fsdecode(b"\xff\n;$(x).png")
    picture.write_text("seen")
    assert Captioner("cat").caption(picture) == "seen"


def test_a_caption_of_any_bytes_is_text(tmp_path):
    script = r"import sys; sys.stdout.buffer.write(bytes([0, 255, 0xED, 0xA0, 0x80, 65]))"
    caption = Captioner(f'{sys.executable} -c "{script}"').caption(tmp_path)
    assert caption.endswith("A")
    caption.encode("utf-8")
