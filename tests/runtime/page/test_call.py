"""The call that the page shows: what it says where a user has chosen, and where not."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.page.call import Call
from dit4sr.runtime.page.opening import Opening

PLAIN = Opening(None, "auto", "auto", 0, is_frugal=False, trusts_engines=False)
CHOSEN = Opening(Path("my bundle"), "onnxruntime", "cpu", 2, is_frugal=True, trusts_engines=True)


def words_of(call):
    return shlex.split(call.command_line().replace("\\\n", ""))


def test_what_nobody_chose_is_not_said():
    call = Call("a.png", PLAIN)
    assert words_of(call) == ["dit4sr-upscale", "a.png", "-o", "a-restored.png", "--seed", "0", "--same-seed"]
    assert "dit4sr.Upscaler() as" in call.python()
    assert "upscaler('a.png', seed=0)" in call.python()


def test_what_was_chosen_reaches_the_command():
    call = Call("a.png", CHOSEN, preset="fast", prompt="it's a cat", seed=2**53 - 1, most_pixels=1 << 30)
    found = upscale.make_context("dit4sr-upscale", words_of(call)[1:]).params
    assert found["inputs"] == ("a.png",)
    assert found["model"] == Path("my bundle")
    assert (found["backend"], found["device"], found["threads"]) == ("onnxruntime", "cpu", 2)
    assert (found["low_memory"], found["trust_engines"]) == (True, True)
    assert (found["preset"], found["prompt"]) == ("fast", "it's a cat")
    assert (found["seed"], found["same_seed"], found["max_pixels"]) == (2**53 - 1, True, 1 << 30)


def test_what_was_chosen_reaches_the_library():
    program = Call("a.png", CHOSEN, preset="fast", prompt="it's a cat", seed=7, most_pixels=1 << 30).python()
    assert (
        "dit4sr.Upscaler('my bundle', backend='onnxruntime', device='cpu', threads=2, frugal=True, "
        "trust_engines=True) as"
    ) in program
    assert (
        """upscaler('a.png', preset='fast', prompt="it's a cat", most_pixels=1073741824, seed=7)""" in program
    )


@pytest.mark.parametrize(
    ("photo", "result"),
    [
        ("a.JPG", "a-restored.JPG"),
        ("a.b.webp", "a.b-restored.webp"),
        ("a.gif", "a-restored.png"),
        ("a", "a-restored.png"),
    ],
)
def test_the_result_has_the_format_of_the_photo_where_it_can(photo, result):
    assert Call(photo, PLAIN).result == result
