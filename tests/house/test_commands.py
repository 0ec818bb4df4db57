"""What the commands have in common: the same flag means the same, help has examples, old spellings work."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from dit4sr.bench.cli import command as bench
from dit4sr.calibrate.cli import command as calibrate
from dit4sr.export.cli import command as export
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command

COMMANDS = {
    "dit4sr-bench": bench,
    "dit4sr-calibrate": calibrate,
    "dit4sr-export": export,
    "dit4sr-upscale": upscale,
}
RUNNING = ("dit4sr-bench", "dit4sr-calibrate", "dit4sr-upscale")
"""Those that run a bundle."""

SHARED = {
    "--backend": ("dit4sr-bench", "dit4sr-upscale"),
    "--device": ("dit4sr-bench", "dit4sr-upscale"),
    "--trust-engines": ("dit4sr-bench", "dit4sr-upscale"),
    "--seed": ("dit4sr-calibrate", "dit4sr-upscale"),
    "--threads": RUNNING,
    "--steps": RUNNING,
    "--guidance": RUNNING,
    "--json": tuple(COMMANDS),
    "--force": tuple(COMMANDS),
}
LAST_GROUP = dict.fromkeys(RUNNING, "Speed and memory:") | {"dit4sr-export": "Engines:"}
EVERY = pytest.mark.parametrize("name", COMMANDS)


def option_of(name: str, flag: str) -> click.Option:
    [option] = [
        each for each in COMMANDS[name].params if isinstance(each, click.Option) and flag in each.opts
    ]
    return option


def parsed(name: str, *words: str) -> dict[str, object]:
    return COMMANDS[name].make_context(name, list(words)).params


@EVERY
def test_help_is_grouped_and_ends_with_two_examples_that_parse(name, capsys):
    command = COMMANDS[name]
    assert run_command(command, ["--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("Input and output:") < printed.index(LAST_GROUP[name]) < printed.index("Examples:")
    examples = [line.strip() for line in printed.splitlines() if line.startswith(f"  {name} ")]
    assert len(examples) == 2
    for line in examples:
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == command.name == name
        command.make_context(name, words[1:])


@EVERY
def test_every_option_says_what_it_is_for(name):
    silent = [
        each.opts[0] for each in COMMANDS[name].params if isinstance(each, click.Option) and not each.help
    ]
    assert silent == []


@pytest.mark.parametrize("flag", SHARED)
def test_the_same_flag_means_the_same_in_every_command(flag):
    first, *others = (option_of(name, flag) for name in SHARED[flag])
    for other in others:
        assert (other.name, other.opts, other.metavar) == (first.name, first.opts, first.metavar)
        assert type(other.type) is type(first.type)
        assert (other.default, other.is_flag) == (first.default, first.is_flag)


@pytest.mark.parametrize(
    ("name", "former", "present"),
    [
        ("dit4sr-upscale", ["--overwrite"], ["--force"]),
        ("dit4sr-upscale", ["--cfg", "2"], ["--guidance", "2"]),
        ("dit4sr-upscale", ["--color-fix", "none"], ["--colour-fix", "none"]),
        ("dit4sr-upscale", ["--tile-pad", "8"], ["--tile-overlap", "8"]),
        ("dit4sr-upscale", ["--tile_pad", "8"], ["--tile-overlap", "8"]),
        ("dit4sr-upscale", ["-n", "my-bundle"], ["-m", "my-bundle"]),
        ("dit4sr-upscale", ["-f", "webp"], ["-x", "webp"]),
        ("dit4sr-upscale", ["-g", "-1"], ["--device", "cpu"]),
        ("dit4sr-upscale", ["-g", "0"], ["--device", "cuda"]),
        ("dit4sr-bench", ["-g", "0"], ["--device", "cuda"]),
        ("dit4sr-upscale", ["--low-vram"], ["--low-memory"]),
        ("dit4sr-upscale", ["--json", "log"], ["--json=log"]),
        ("dit4sr-upscale", ["--json", "-"], ["--json"]),
        ("dit4sr-calibrate", ["--min-psnr", "30"], ["--min-psnr-rgb", "30"]),
        ("dit4sr-calibrate", ["--json", "my-bundle"], ["my-bundle", "--json", "-"]),
        ("dit4sr-calibrate", ["my-bundle", "--json"], ["--json", "-", "my-bundle"]),
        ("dit4sr-calibrate", ["--overwrite"], ["--force"]),
        ("dit4sr-export", ["--json", "my-bundle"], ["my-bundle", "--json", "-"]),
        ("dit4sr-export", ["--overwrite"], ["--force"]),
        ("dit4sr-bench", ["--min-psnr", "30"], ["--min-psnr-y", "30"]),
        ("dit4sr-bench", ["--json", "record"], ["--json=record"]),
        ("dit4sr-bench", ["--json", "-"], ["--json"]),
        ("dit4sr-bench", ["--overwrite"], ["--force"]),
    ],
)
def test_what_was_typed_before_still_means_what_it_did(name, former, present):
    photo = ["photo.png"] if name == "dit4sr-upscale" else []
    assert parsed(name, *photo, *former) == parsed(name, *photo, *present)
    assert parsed(name, *photo, *former) != parsed(name, *photo)


@EVERY
def test_former_spellings_are_not_listed(name, capsys):
    assert run_command(COMMANDS[name], ["--help"]) == 0
    words = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    former = {alias for each in COMMANDS[name].params for alias in getattr(each, "aliases", ())}
    assert "--overwrite" in former
    assert not former & words
