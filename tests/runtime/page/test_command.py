"""``dit4sr page``: what it says as it begins and ends, and what it leaves."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

import click
import httpx
import pytest
from PIL import Image
from support.photos import make_photo
from support.processes import has_ended

from dit4sr.__main__ import command as front_door
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.page.cli import command
from dit4sr.runtime.page.server import Place

SHARED = ("--backend", "--device", "--threads", "--trust-engines", "--low-memory", "--max-pixels")


def test_help_is_grouped_and_ends_with_two_examples_that_parse(capsys):
    assert run_command(front_door, ["page", "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("Where it is:") < printed.index("Limits:") < printed.index("Speed and memory:")
    examples = [line.strip() for line in printed.splitlines() if line.startswith("  dit4sr page")]
    assert len(examples) == 2
    for line in examples:
        command.make_context("page", shlex.split(line)[2:])


def test_every_option_says_what_it_is_for():
    silent = [each.opts[0] for each in command.params if isinstance(each, click.Option) and not each.help]
    assert silent == []


@pytest.mark.parametrize("flag", SHARED)
def test_a_flag_means_what_it_means_to_the_command_that_makes_the_same_picture(flag):
    ours, theirs = (
        next(each for each in of.params if isinstance(each, click.Option) and flag in each.opts)
        for of in (command, upscale)
    )
    assert (ours.name, ours.default, ours.is_flag) == (theirs.name, theirs.default, theirs.is_flag)
    assert type(ours.type) is type(theirs.type)


WARNING = "warning: whoever can reach 0.0.0.0 can use this page: it has no password"


@pytest.mark.parametrize(
    ("number", "options", "warnings"),
    [(signal.SIGINT, ["--host", "0.0.0.0"], [WARNING]), (signal.SIGTERM, [], [])],
)
def test_it_says_where_it_is_and_ends_when_it_is_told_to(toy_bundle, tmp_path, number, options, warnings):
    words = [str(toy_bundle), "--port", "0", "--threads", "1", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "dit4sr", "page", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        address = process.stdout.readline().strip()
        [(host, port)] = re.findall(r"^http://(.+):([0-9]+)/$", address)
        assert host == (socket.gethostname() if options else "127.0.0.1")
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        [shelf] = tmp_path.iterdir()
        assert shelf.stat().st_mode & 0o77 == 0
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert has_ended(process.pid)
    farewell = "interrupted" if number is signal.SIGINT else "ended by SIGTERM"
    assert [line for line in said.splitlines() if line] == [
        *warnings,
        "toy on onnxruntime/cpu; Ctrl-C ends the page",
        f"error: {farewell}",
    ]
    assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_it_ends_at_once_though_a_picture_is_under_way(tmp_path):
    Image.fromarray(make_photo(160, 240)).save(tmp_path / "large.png")
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "dit4sr", "page", "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )
    try:
        api = process.stdout.readline().strip() + "gradio_api/"
        [place] = httpx.post(
            api + "upload", files={"files": ("large.png", (tmp_path / "large.png").read_bytes())}
        ).json()
        file = {"path": place, "meta": {"_type": "gradio.FileData"}}
        event = httpx.post(api + "call/restore", json={"data": [file, "exact", "", 0]}).json()["event_id"]
        with httpx.stream("GET", f"{api}call/restore/{event}", timeout=30):
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert time.monotonic() - began < 10
    assert process.returncode == 143
    assert said.splitlines()[-1] == "error: ended by SIGTERM"
    assert "Traceback" not in said
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run_command(front_door, ["page", "--port", str(port)]) == 2
    line = f"error: port {port} of 127.0.0.1 is taken; choose another --port; 0 takes any that is free\n"
    assert capsys.readouterr().err == line


def test_a_host_that_this_machine_is_not_is_one_line(capsys):
    assert run_command(front_door, ["page", "--host", "192.0.2.1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no page at 192.0.2.1, port 7860 (")


def test_without_gradio_it_says_what_brings_it(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "gradio" else find(name, *rest)
    )
    assert run_command(front_door, ["page"]) == 3
    assert capsys.readouterr().err == "error: not installed: gradio; pip install 'dit4sr[page]'\n"


def test_what_is_no_bundle_is_one_line_and_leaves_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_command(front_door, ["page", str(tmp_path / "absent"), "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith(f"error: no bundle at {tmp_path / 'absent'}; expected ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "is_private"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_a_page_for_others_is_told_from_one_for_this_machine(host, is_private):
    assert Place(host, 0).is_private is is_private
    assert (Place(host, 0).names is None) is not is_private


def test_help_of_all_commands_does_without_gradio():
    script = (
        "import sys; from dit4sr.__main__ import command\n"
        "from dit4sr.runtime.console.command import run_command\n"
        "assert run_command(command, ['page', '--help']) == 0\n"
        "print([name for name in ('gradio', 'numpy', 'PIL', 'uvicorn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
