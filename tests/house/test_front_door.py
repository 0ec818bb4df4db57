"""``import dit4sr`` and ``dit4sr``: what a newcomer finds first."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import dit4sr
from dit4sr import errors
from dit4sr.__main__ import command
from dit4sr.runtime.console.command import run_command

ROOT = Path(__file__).parents[2]


def test_what_it_offers_is_there_and_is_the_runtimes():
    assert set(dit4sr.__all__) <= set(dir(dit4sr))
    for name in dit4sr.__all__:
        assert getattr(dit4sr, name)
    assert dit4sr.Upscaler.__module__.startswith("dit4sr.runtime.")
    assert dit4sr.errors is errors
    assert dit4sr.errors.BadInputError("no").exit_code == 2
    assert dit4sr.__version__ == importlib.metadata.version("dit4sr")


def test_what_it_does_not_offer_is_missed_as_anywhere():
    with pytest.raises(AttributeError, match="module 'dit4sr' has no attribute 'Upscale'"):
        _ = dit4sr.Upscale


def test_importing_it_imports_nothing_of_weight():
    script = (
        "import sys, dit4sr; dit4sr.errors\n"
        "print([n for n in ('numpy', 'PIL', 'click', 'importlib.metadata') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_parts_are_the_same_modules_from_the_repository_and_from_elsewhere(tmp_path):
    """Inside the checkout the folder is found as such, elsewhere through the installation."""
    script = "import dit4sr.export, dit4sr.runtime.errors; print(dit4sr.export.__doc__)"
    printed = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=place, capture_output=True, text=True, check=True
        ).stdout
        for place in (ROOT, tmp_path)
    }
    assert len(printed) == 1


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_the_module_is_the_command(word, tmp_path):
    module, script = [sys.executable, "-m", "dit4sr"], [Path(sys.executable).with_name("dit4sr")]
    printed = {
        subprocess.run([*way, word], cwd=place, capture_output=True, text=True, check=True).stdout
        for way in (module, script)
        for place in (ROOT, tmp_path)
    }
    assert len({text.replace("python -m dit4sr", "dit4sr") for text in printed}) == 1


def test_help_names_the_other_commands(capsys):
    assert run_command(command, ["--help"]) == 0
    printed = capsys.readouterr().out
    for name in ("dit4sr-upscale", "dit4sr-export", "dit4sr-calibrate", "dit4sr-bench"):
        assert name in printed
