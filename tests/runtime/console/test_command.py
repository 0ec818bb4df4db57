"""The exit-code table, and the line that goes with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import click
import pytest

from dit4sr.runtime import errors
from dit4sr.runtime.console.command import run_command

# Fixed by the project's contract with its users: scripts depend on these numbers.
EXIT_CODES = {
    errors.BadInputError: 2,
    errors.MissingDependencyError: 3,
    errors.IncompatibleError: 4,
    errors.IntegrityError: 5,
    errors.AccuracyError: 6,
    errors.OutOfMemoryError: 7,
    errors.PerformanceError: 8,
    errors.SomeInputsFailedError: 9,
}


def raising(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


def test_the_table_is_complete():
    assert {kind: kind.exit_code for kind in errors.Dit4srError.__subclasses__()} == EXIT_CODES


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items())
def test_a_typed_error_is_one_line_and_its_code(kind, code, capsys):
    error = kind("found\nthis", expected="that", fix="do so")
    assert run_command(raising(error), []) == code
    assert capsys.readouterr().err == "error: found this; expected that; do so\n"


def test_anything_else_is_an_internal_error_that_says_how_to_report_it(capsys, monkeypatch):
    monkeypatch.delenv("DIT4SR_DEBUG", raising=False)
    assert run_command(raising(ValueError("two\nlines")), []) == 1
    assert capsys.readouterr().err == (
        "error: internal error: ValueError: two lines; "
        f"please report it with the output of DIT4SR_DEBUG=1 (dit4sr {version('dit4sr')})\n"
    )


def test_a_file_that_ends_too_soon_is_no_interruption(capsys):
    assert run_command(raising(EOFError("no data left in file")), []) == 1
    assert "internal error: EOFError: no data left in file" in capsys.readouterr().err


def test_an_internal_error_is_one_line_in_a_checkout_that_is_not_installed(capsys, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    assert run_command(raising(ValueError("here")), []) == 1
    assert capsys.readouterr().err.endswith("(dit4sr from a checkout)\n")


def test_debugging_adds_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("DIT4SR_DEBUG", "1")
    assert run_command(raising(ValueError("here")), []) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), click.Abort()])
def test_interruption(interruption, capsys):
    assert run_command(raising(interruption), []) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted"


def test_success_is_zero():
    assert run_command(click.Command("nothing", callback=lambda: None), []) == 0
