"""Signals that ask a command to end: said, tidied up, and with the exit code of the signal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import click
import pytest
from PIL import Image
from support.endless import make_opening_endless, make_runs_endless
from support.photos import make_photo

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.signals import EXIT_CODES, SAME

SIGNALS = pytest.mark.parametrize(
    ("number", "code", "farewell"),
    [
        (signal.SIGINT, 130, "error: interrupted"),
        (signal.SIGTERM, 143, "error: ended by SIGTERM"),
        (signal.SIGHUP, 129, "error: ended by SIGHUP"),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)

COMMAND = """
import ctypes, pathlib, signal, sys, threading, time
import click
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.files.whole import atomic_directory

def wait_for_ever():
    lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    threading.Timer(0.5, print, ["ready"], {"flush": True}).start()
    library.pthread_mutex_lock(lock)

@click.command()
@click.argument("target", type=pathlib.Path)
def command(target):
    with atomic_directory(target) as folder:
        (folder / "file").write_text("half")
        WORK

sys.exit(run_command(command))
"""

ANNOUNCED = """
import sys
import onnxruntime
from dit4sr.runtime.cli import main

class Session(onnxruntime.InferenceSession):
    def __init__(self, path, *rest, **named):
        print("opening", path, flush=True)
        super().__init__(path, *rest, **named)

    def run_with_iobinding(self, *arguments):
        print("running", flush=True)
        super().run_with_iobinding(*arguments)

onnxruntime.InferenceSession = Session
main()
"""


def command(work, *, says_ready=True):
    """A script of a command that does some work while a folder is being written."""
    return COMMAND.replace("WORK", f"print('ready', flush=True)\n        {work}" if says_ready else work)


@pytest.fixture
def start():
    """Starts a script and waits until it says that it is ready."""
    running = []

    def run(script, *arguments, ready=b"ready", **options):
        words = [sys.executable, "-c", script, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(words, **pipes)
        running.append(process)
        while ready not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def said(process):
    """What a process that ends by itself has said on standard error."""
    _, error = process.communicate(timeout=60)
    return [line for line in error.decode().splitlines() if line]


def test_every_signal_has_the_exit_code_that_shells_give_it():
    assert all(code == 128 + number for number, code in EXIT_CODES.items())


@SIGNALS
def test_a_signal_is_said_and_tidied_up_after(start, tmp_path, number, code, farewell):
    process = start(command("time.sleep(600)"), tmp_path / "out")
    process.send_signal(number)
    assert said(process) == [farewell]
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_sent_twice_at_once_is_one(start, tmp_path):
    """`timeout` and shells do so."""
    work = (
        "try: print('ready', flush=True); time.sleep(600)\n"
        f"        finally: time.sleep({2 * SAME}); print('tidied', flush=True)"
    )
    process = start(command(work, says_ready=False), tmp_path / "out")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    assert (output, error) == (b"tidied\n", b"\nerror: ended by SIGTERM\n")
    assert process.returncode == 143


@SIGNALS
def test_the_second_signal_ends_a_native_call_and_leaves_nothing(start, tmp_path, number, code, farewell):
    process = start(command("wait_for_ever()", says_ready=False), tmp_path / "out")
    process.send_signal(number)
    assert process.stderr.readline() == b"stopping; the same once more ends it at once\n"
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    process.send_signal(number)
    assert said(process) == [f"{farewell}, at once"]
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


@SIGNALS
def test_a_run_that_would_not_end_is_stopped(start, toy_bundle, tmp_path, number, code, farewell):
    bundle = shutil.copytree(toy_bundle, tmp_path / "bundle")
    make_runs_endless(bundle, "vae_encoder")
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    process = start(ANNOUNCED, tmp_path / "a.png", "-o", tmp_path / "out", "-m", bundle, ready=b"running")
    time.sleep(0.2)  # wherever in the run that is
    process.send_signal(number)
    assert said(process) == ["stopped after 0 of 1; go on with --resume", farewell]
    assert process.returncode == code


def test_an_opening_that_cannot_be_stopped_ends_with_the_second_signal(start, toy_bundle, tmp_path):
    bundle = shutil.copytree(toy_bundle, tmp_path / "bundle")
    make_opening_endless(bundle, "vae_encoder")
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    process = start(ANNOUNCED, tmp_path / "a.png", "-o", tmp_path / "out", "-m", bundle, ready=b"vae_encoder")
    time.sleep(1)  # well within
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == b"stopping; the same once more ends it at once\n"
    process.send_signal(signal.SIGINT)
    assert said(process) == ["error: interrupted, at once"]
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_an_ignored_signal_stays_ignored(start, tmp_path, number):
    process = start(
        command("sys.stdin.read()"),
        tmp_path / "out",
        stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    process.send_signal(number)
    process.communicate(timeout=60)  # which ends its standard input
    assert process.returncode == 0
    assert (tmp_path / "out" / "file").exists()


def test_a_terminal_that_has_gone_changes_nothing(start, tmp_path):
    reader, writer = os.openpty()
    process = start(command("time.sleep(600)"), tmp_path / "out", stderr=writer)
    os.close(writer)
    os.close(reader)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 129
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_has_its_signals_to_itself(start, tmp_path):
    work = (
        "import os; child = os.fork()\n"
        "        if not child: signal.pause()\n"
        "        time.sleep(0.1); os.kill(child, signal.SIGTERM)\n"
        "        assert os.waitpid(child, 0)[1] == signal.SIGTERM; time.sleep(0.1)"
    )
    process = start(command(work), tmp_path / "out")
    assert said(process) == []
    assert process.returncode == 0


def test_signals_are_given_back(capsys):
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    during = []

    @click.command()
    def waiting():
        during.extend(signal.getsignal(number) for number in EXIT_CODES)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    assert run_command(waiting, []) == 143
    assert set(during).isdisjoint(before.values())
    assert {number: signal.getsignal(number) for number in EXIT_CODES} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert capsys.readouterr().err.splitlines()[-1] == "error: ended by SIGTERM"


def test_a_command_in_another_thread_leaves_signals_alone():
    before, codes = signal.getsignal(signal.SIGTERM), []

    def callback():
        assert signal.getsignal(signal.SIGTERM) is before

    nothing = click.Command("nothing", callback=callback)
    thread = threading.Thread(target=lambda: codes.append(run_command(nothing, [])))
    thread.start()
    thread.join()
    assert codes == [0]
