"""The processes that it lives in, and what they notice: plug-ins, forks, hosts of Python, environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.native import PROGRAMS, compile_program, run


@pytest.fixture(scope="session")
def plugin(tmp_path_factory) -> Path:
    """A library with Python's own linked to it, as a plug-in would be built."""
    return compile_program(tmp_path_factory.mktemp("plugin") / "libplugin.so", [], "-shared")


def test_a_plug_in_leaves_its_host_as_it_was(plugin, toy_bundle, tmp_path):
    """Loaded by RTLD_LOCAL: signals, locale, forks, dlclose, and an end with an upscaler open."""
    host = compile_program(tmp_path / "host", [PROGRAMS / "plugin_host.c"], embeds=False)
    assert run(host, plugin, toy_bundle) == "as it was\n"


def test_a_host_may_have_python_already_and_hold_its_lock(program, toy_bundle):
    printed = run(
        *(program("python_host.c"), toy_bundle, sys.prefix), PYTHONHOME=sys.base_prefix, PYTHONPATH=""
    )
    assert printed == "both\n"


def test_nothing_is_printed_whatever_happens(program, toy_bundle, tmp_path):
    """Neither by us nor by what Python imports: standard output has the program's own lines alone."""

    done = subprocess.run([program("lifecycle.c"), toy_bundle, "2"], capture_output=True, check=True, cwd="/")
    assert done.stderr == b""
    assert len(done.stdout.split()) == 2
    for bundle in ("/nowhere", tmp_path):
        done = subprocess.run(
            [program("lifecycle.c"), bundle, "1"], capture_output=True, check=False, cwd="/"
        )
        assert (done.stdout, done.stderr.count(b"\n")) == (b"", 1)


@pytest.mark.parametrize(
    "variables", [{"PYTHONHOME": "/nowhere"}, {"PYTHONPATH": "/nowhere"}, {"LC_ALL": "C"}]
)
def test_the_hosts_variables_do_not_reach_the_python_that_is_ours(program, toy_bundle, variables):
    run(program("lifecycle.c"), toy_bundle, 1, **variables)


def test_an_environment_that_is_none_is_refused(program, toy_bundle, tmp_path):
    run(program("lifecycle.c"), toy_bundle, 1, expect=3, DIT4SR_ENVIRONMENT="/nowhere")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty")
    run(program("lifecycle.c"), toy_bundle, 1, expect=3, DIT4SR_ENVIRONMENT=str(tmp_path / "empty"))
