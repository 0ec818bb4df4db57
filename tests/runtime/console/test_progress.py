"""What long work shows on a terminal, and that it shows nothing in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from dit4sr.runtime.console.progress import StatusLine, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def errors_to(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Within a test: pytest puts streams of its own in place between setting up and calling one."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_line_is_written_over_and_gone_at_the_end(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    with StatusLine() as line:
        line.show("a longer text")
        line.show("a text")
    assert terminal.getvalue() == "\ra longer text\ra text       \r      \r"


def test_a_line_that_was_not_shown_leaves_nothing_to_clear(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    with StatusLine(is_wanted=False) as line:
        line.show("a text")
    with StatusLine():
        pass
    assert terminal.getvalue() == ""


def test_a_pipe_stays_quiet(monkeypatch):
    pipe = errors_to(io.StringIO(), monkeypatch)
    with StatusLine() as line:
        line.show("a text")
        show_progress("another")
    assert pipe.getvalue() == ""


def test_progress_stays_in_lines_of_its_own(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    show_progress("one")
    show_progress("two")
    assert terminal.getvalue() == "… one\n… two\n"
