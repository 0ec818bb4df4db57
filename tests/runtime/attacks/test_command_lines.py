"""Every option of the four commands with every value that nobody should type: one line, and a listed code."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from dit4sr.bench.cli import command as bench
from dit4sr.calibrate.cli import command as calibrate
from dit4sr.export.cli import command as export
from dit4sr.runtime import errors
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command

CODES = {kind.exit_code for kind in errors.Dit4srError.__subclasses__()}

HOSTILE = {
    "nothing": "",
    "a blank": " ",
    "zero": "0",
    "less than nothing": "-1",
    "400 digits": "9" * 400,
    "more digits than Python reads": "9" * 5000,
    "a fraction of 400 digits": "0." + "0" * 400 + "1",
    "no number": "nan",
    "infinity": "inf",
    "minus infinity": "-inf",
    "beyond all floats": "1e400",
    "other digits": "٣",
    "a byte that is not UTF-8": "\udcff",
    "half a character": "\ud800",
    "a zero byte": "a\0b",
    "a very long word": "x" * 100_000,
    "control characters": "\x1b[2J\r\nfoo\u202e",
    "standard output": "-",
    "a flag": "--help-me",
    "a full device": "/dev/full",
    "a device": "/dev/null/x",
    "JSON": '{"a": [',
}

BASES = {
    "dit4sr-upscale": (upscale, ["absent.png", "-o", "out", "-m", "BUNDLE"]),
    "dit4sr-export": (export, ["absent", "-o", "out"]),
    "dit4sr-calibrate": (calibrate, ["BUNDLE", "--images", "absent", "-o", "out"]),
    "dit4sr-bench": (bench, ["BUNDLE", "--picture", "absent.png", "--baseline", "none"]),
}
"""Command lines that are sound but for their input, which is not there: no work is begun."""


def attacks(command: click.Command) -> Iterator[tuple[str, list[str]]]:
    for parameter in command.params:
        for about, value in HOSTILE.items():
            words = words_of(parameter, value)
            if words:
                yield f"{parameter.name}: {about}", words


def words_of(parameter: click.Parameter, value: str) -> list[str]:
    if isinstance(parameter, click.Option):
        flag = max(parameter.opts, key=len)
        if parameter.is_flag or parameter.is_eager:
            return []
        return [f"{flag}={value}"] if parameter.nargs == 1 else [flag, *[value] * parameter.nargs]
    return ["--", value]


@pytest.mark.parametrize("name", BASES)
def test_whatever_is_typed_is_answered_in_one_line(name, tmp_path, monkeypatch, capfd):
    command, base = BASES[name]
    base = [str(tiny_bundle()) if word == "BUNDLE" else word for word in base]
    monkeypatch.chdir(tmp_path)
    wrong = []
    for about, words in attacks(command):
        arguments = [*base, *words] if words[0] != "--" else [*base[1:], *words]
        code = run_command(command, arguments)
        printed = capfd.readouterr()
        if code not in CODES or printed.out or not is_one_line(printed.err):
            wrong.append(f"{about}: exit {code}, {printed.out!r}, {printed.err[:300]!r}")
        if left := [path.name for path in tmp_path.iterdir() if path.stat().st_size]:
            wrong.append(f"{about}: left {left}")
    assert wrong == []


@pytest.mark.parametrize("name", BASES)
def test_numbers_that_are_none_are_refused_before_anything_is_read(name, tmp_path, monkeypatch, capfd):
    """What compares false with everything passes every gate that forgets it."""
    command, base = BASES[name]
    base = [str(tiny_bundle()) if word == "BUNDLE" else word for word in base]
    monkeypatch.chdir(tmp_path)
    numeric = (click.types.FloatParamType, click.types.IntParamType, click.Tuple)
    wrong = []
    for option in command.params:
        if not isinstance(option, click.Option) or not isinstance(option.type, numeric):
            continue
        for number in ("nan", "inf", "-inf"):
            code = run_command(command, [*base, *words_of(option, number)])
            error = capfd.readouterr().err
            if code != errors.BadInputError.exit_code or "absent" in error:
                wrong.append(f"{option.name}: {number}: exit {code}, {error[:200]}")
    assert wrong == []


def is_one_line(text: str) -> bool:
    *warned, line = text.removesuffix("\n").split("\n")
    if not all(each.startswith("warning: ") and each.isprintable() for each in warned):
        return False
    return line.startswith("error: ") and line.isprintable() and len(line) < 1000
