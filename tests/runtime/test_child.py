"""Children that end with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import click
import pytest
from support.processes import has_ended

from dit4sr.runtime.child import child_process
from dit4sr.runtime.console.command import run_command

SLEEP = ["sleep", "600"]


def test_a_child_that_was_waited_for_is_left_in_peace():
    with child_process(["sh", "-c", "exit 3"]) as process:
        assert process.wait() == 3


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_one_that_was_not_is_ended(error):
    with pytest.raises(error), child_process(SLEEP) as process:
        raise error
    assert process.returncode == -signal.SIGKILL


def test_a_signal_that_comes_while_a_child_is_started_ends_it_too(monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            started.append(self.pid)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    @click.command()
    def command():
        with child_process(SLEEP):
            time.sleep(60)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    assert run_command(command, []) == 143
    assert has_ended(started[0])


def test_a_command_that_is_none_leaves_nothing_to_end():
    with pytest.raises(FileNotFoundError), child_process(["no-such-command"]):
        pass
