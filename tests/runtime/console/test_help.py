"""Help in groups, flags with a value of their own, and spellings that go on working."""

from __future__ import annotations

import click
import pytest

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.help import Example, group, grouped_command, option, without


@pytest.fixture
def command():
    """Prints what it was given."""

    @grouped_command(examples=[Example("two at once", "paint a b --colour red")])
    @click.argument("inputs", nargs=-1)
    @group(
        "Look",
        option("--colour", aliases=["--color"], help="Of the paint."),
        option("--coats", type=int, default=1, show_default=True),
    )
    @group(
        "Records",
        option("-o", "--output"),
        option("--json", "json_file", bare="-", takes=lambda word: word.endswith(".json")),
    )
    @option("--quick", is_flag=True)
    def paint(**given: object) -> None:
        """Paint INPUTS."""
        click.echo(given)

    return paint


def parsed(command: click.Command, *words: str) -> dict[str, object]:
    return command.make_context("paint", list(words)).params


def test_options_are_listed_under_their_headings_in_order(command, capsys):
    assert run_command(command, ["-h"]) == 0
    printed = capsys.readouterr().out
    places = [printed.index(text) for text in ("Look:", "--colour", "--coats", "Records:", "-o, --output")]
    assert places == sorted(places)
    assert printed.index("Records:") < printed.index("Other options:") < printed.index("--quick")
    assert printed.index("--quick") < printed.index("-h, --help")
    assert "Options:" not in printed


def test_examples_close_the_help(command, capsys):
    assert run_command(command, ["--help"]) == 0
    assert capsys.readouterr().out.endswith("Examples:\n  # two at once\n  paint a b --colour red\n")


def test_former_spellings_work_and_are_not_listed(command, capsys):
    assert parsed(command, "--color", "red") == parsed(command, "--colour", "red")
    assert run_command(command, ["-h"]) == 0
    assert "--color " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "file", "inputs"),
    [
        ([], None, ()),
        (["--json"], "-", ()),
        (["--json", "-"], "-", ("-",)),
        (["--json", "--quick"], "-", ()),
        (["--json", "a", "b"], "-", ("a", "b")),
        (["--json", "a.json", "b"], "a.json", ("b",)),
        (["--json=a", "b"], "a", ("b",)),
        (["--quick", "--json", "--", "a.json"], "-", ("a.json",)),
        (["--", "--json", "a.json"], None, ("--json", "a.json")),
    ],
)
def test_a_flag_alone_has_a_value_and_takes_only_the_words_it_knows(command, words, file, inputs):
    found = parsed(command, *words)
    assert (found["json_file"], found["inputs"]) == (file, inputs)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["a", "-o", "x", "--quick"], ["a", "--quick"]),
        (["--output=x", "a"], ["a"]),
        (["--json", "a"], ["a"]),
        (["--json", "a.json", "b"], ["b"]),
        (["--coats", "2", "--json"], ["--coats", "2"]),
    ],
)
def test_options_can_be_left_out_of_a_command_line(command, words, left):
    assert without(command, words, {"output", "json_file"}) == left


def test_flags_that_are_left_out_take_no_value_with_them(command):
    assert without(command, ["--quick", "a"], {"quick"}) == ["a"]
