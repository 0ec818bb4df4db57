"""``dit4sr-export --describe``: what it prints, and how it fails."""

from __future__ import annotations

import json

import pytest
from support.networks import tiny_config

from dit4sr.export.cli import command
from dit4sr.runtime.console.command import run_command


def run(*arguments: str) -> int:
    return run_command(command, [str(argument) for argument in arguments])


def test_full_size_needs_no_checkpoint(capsys):
    assert run("--describe") == 0
    printed = capsys.readouterr().out
    for figure in ("2,716,814,144", "2,504,337,536", "1,722.5 M", "2,720.20", "2,346.79", "435.2 TFLOP"):
        assert figure in printed


def test_json_carries_the_same_figures(capsys):
    assert run("--describe", "--flavour", "own", "--text-tokens", 154, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["total"] == 2_716_814_144
    assert figures["live"] == 2_591_688_320
    assert figures["resident"] == 1_809_861_248
    assert figures["tensors"] == 1383
    assert round(sum(figures["released"].values()) / 1e9, 2) == 2540.76
    assert round(sum(figures["simplified"].values()) / 1e9, 2) == 2259.68
    assert figures["config"]["num_layers"] == 24
    assert sum(group["fp16"] for group in figures["parameters"]) == 2 * figures["live"]


def test_a_checkpoint_is_described_from_its_headers(checkpoint_writer, capsys):
    folder = checkpoint_writer(tiny_config())
    assert run("--describe", folder, "--size", "128x192", "--no-guidance", "--steps", "4") == 0
    printed = capsys.readouterr().out
    assert str(folder) in printed
    assert "4 blocks of width 128" in printed
    assert "flavour own" in printed
    assert "in the file" in printed
    assert "128×192" in printed
    assert "4 steps of 1 row:" in printed


def test_variants_change_the_cost(capsys):
    assert run("--describe", "--variant", "a") == 0
    assert "2,431.55" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--describe", "nowhere"), "no checkpoint at nowhere"),
        (("--describe", "--size", "511x512"), "multiples of 16"),
        (("--describe", "--size", "big"), "write 512x768"),
        (("--describe", "--flavour", "sour"), "'sour'"),
        (("--describe", "--variant", "a", "--flavour", "copied"), "flavour own"),
        (("--describe", "--text-tokens", "0"), "text-tokens"),
        (("--unheard-of",), "--unheard-of"),
    ],
)
def test_bad_usage_is_exit_2_and_says_why(arguments, said, capsys):
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
