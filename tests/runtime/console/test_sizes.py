"""Sizes as people write them."""

from __future__ import annotations

import click
import pytest

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.sizes import SIZE, SIZES, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512x768", (512, 768)),
        ("512×768", (512, 768)),
        ("512X768", (512, 768)),
        ("512", (512, 512)),
        (" 8x16 ", (8, 16)),
    ],
)
def test_a_size_is_height_by_width_and_one_number_a_square(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "512x", "x512", "0x8", "8x0", "00", "-8", "8x8x8", "1e3", "12y", "٣", "1000000"]
)
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match=r"is not a size; write 512x768 \(height by width\)"):
        parse_size(text)


def test_sizes_on_a_command_line(capsys):
    @click.command()
    @click.option("--size", type=SIZE, default="64")
    @click.option("--sizes", type=SIZES)
    def command(**given: object) -> None:
        click.echo(f"{given}")

    assert run_command(command, ["--sizes", "8,16x32"]) == 0
    assert capsys.readouterr().out == "{'sizes': ((8, 8), (16, 32)), 'size': (64, 64)}\n"
    assert run_command(command, ["--sizes", "8,12y"]) == 2
    assert "'12y' is not a size" in capsys.readouterr().err
