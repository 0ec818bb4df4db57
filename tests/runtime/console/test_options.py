"""Options that the commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest

from dit4sr.runtime.console.help import grouped_command
from dit4sr.runtime.console.options import (
    device_option,
    force_option,
    guidance_option,
    json_option,
    seed_option,
    threads_option,
)


def parsed(option: Callable[[Any], Any], *words: str) -> dict[str, Any]:
    @grouped_command()
    @click.argument("inputs", nargs=-1)
    @option
    def command(**given: object) -> None: ...

    return command.make_context("command", list(words)).params


@pytest.mark.parametrize(
    ("words", "file"),
    [(["--json"], "-"), (["--json", "-"], "-"), (["--json", "log"], "log"), (["--json=log"], "log")],
)
def test_json_alone_is_standard_output_and_a_word_after_it_its_file(words, file):
    assert parsed(json_option(), *words)["json_file"] == file


@pytest.mark.parametrize(
    ("words", "file", "inputs"),
    [
        (["--json", "my-bundle"], "-", ("my-bundle",)),
        (["--json", "model.safetensors"], "-", ("model.safetensors",)),
        (["--json", "out.json", "my-bundle"], "out.json", ("my-bundle",)),
        (["--json=out", "my-bundle"], "out", ("my-bundle",)),
        (["--json", "-", "my-bundle"], "-", ("my-bundle",)),
        (["my-bundle", "--json"], "-", ("my-bundle",)),
    ],
)
def test_an_input_after_json_is_not_taken_for_a_file_where_it_never_was(words, file, inputs):
    found = parsed(json_option(is_followed_by_inputs=True), *words)
    assert (found["json_file"], found["inputs"]) == (file, inputs)


@pytest.mark.parametrize("spelling", ["--force", "--overwrite"])
def test_both_words_for_replacing_mean_the_same(spelling):
    assert parsed(force_option(), spelling)["force"] is True
    assert parsed(force_option())["force"] is False


@pytest.mark.parametrize("spelling", ["--guidance", "--cfg"])
def test_both_words_for_guidance_mean_the_same(spelling):
    assert parsed(guidance_option(), spelling, "4.5")["guidance"] == 4.5


def test_seeds_are_whole_numbers_or_drawn():
    assert parsed(seed_option())["seed"] == 0
    assert parsed(seed_option(), "--seed", str(2**64 - 1))["seed"] == 2**64 - 1
    assert 0 <= parsed(seed_option(), "--seed", "random")["seed"] < 2**32
    for text in ("-1", "x", "1.5", str(2**64), "²"):
        with pytest.raises(click.BadParameter, match="is no seed"):
            parsed(seed_option(), "--seed", text)


def test_a_seed_that_was_drawn_is_said_before_anything_can_go_wrong(capfd):
    """Whatever becomes of the work, a kill included, it can be begun again."""
    seed = parsed(seed_option(), "--seed", "random")["seed"]
    assert capfd.readouterr().err == f"seed {seed} was drawn: --seed {seed} repeats it\n"
    parsed(seed_option(), "--seed", "7")
    assert capfd.readouterr().err == ""


def test_threads_and_devices_are_those_that_can_be():
    assert parsed(threads_option())["threads"] == 0
    with pytest.raises(click.BadParameter):
        parsed(threads_option(), "--threads", "-1")
    with pytest.raises(click.BadParameter):
        parsed(device_option(), "--device", "tpu")


@pytest.mark.parametrize(
    ("number", "device"), [("-1", "cpu"), ("0", "cuda"), ("auto", "auto"), ("cpu", "cpu")]
)
def test_gpus_are_counted_as_other_tools_count_them(number, device):
    assert parsed(device_option(), "-g", number)["device"] == device


@pytest.mark.parametrize("number", ["1", "0,1"])
def test_a_gpu_that_would_not_be_used_is_refused_with_the_way_to_it(number):
    with pytest.raises(click.BadParameter, match="one GPU is used, the first; CUDA_VISIBLE_DEVICES"):
        parsed(device_option(), "-g", number)
