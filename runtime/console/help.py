"""Commands whose ``--help`` is grouped under headings and ends with examples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Decorator = Callable[[Any], Any]
Decorated = TypeVar("Decorated")

OTHER = "Other options"
"""Heading of what belongs to no group."""


@dataclass(frozen=True)
class Example:
    """A command line to copy, and what it is for."""

    purpose: str
    line: str


class Option(click.Option):
    """An option with a heading, former spellings that still work, and a value for when none is given.

    ``aliases`` are accepted and not listed. ``bare`` is what the flag alone means; with it, the next word is
    the flag's value only where ``takes`` accepts that word.
    """

    heading = OTHER

    def __init__(
        self,
        param_decls: Sequence[str] | None = None,
        *,
        aliases: Sequence[str] = (),
        bare: str | None = None,
        takes: Callable[[str], bool] = lambda _word: True,
        **attributes: Any,
    ) -> None:
        super().__init__([*(param_decls or ()), *aliases], **attributes)
        self.aliases, self.bare, self._takes = aliases, bare, takes

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of help, without former spellings."""
        shown = copy.copy(self)
        shown.opts = [spelling for spelling in self.opts if spelling not in self.aliases]
        return click.Option.get_help_record(shown, ctx)

    def spell_out(self, words: Sequence[str]) -> list[str]:
        """The words of a command line, with this flag's value written out where it stands alone."""
        if self.bare is None:
            return list(words)
        end = words.index("--") if "--" in words else len(words)
        spelt = []
        for i, word in enumerate(words[:end]):
            following = words[i + 1] if i + 1 < end else None
            is_alone = following is None or _is_flag(following) or not self._takes(following)
            spelt.append(f"{word}={self.bare}" if word in self.opts and is_alone else word)
        return [*spelt, *words[end:]]


class Command(click.Command):
    """A command that lists its options in groups and closes with examples."""

    def __init__(self, *arguments: Any, examples: Sequence[Example] = (), **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        return super().parse_args(ctx, self.spell_out(args))

    def spell_out(self, words: Sequence[str]) -> list[str]:
        """The words of a command line, with the value of every flag that stands alone written out."""
        spelt = list(words)
        for option in self.params:
            if isinstance(option, Option):
                spelt = option.spell_out(spelt)
        return spelt

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, in the order in which these occur; the rest comes last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None and isinstance(option, click.Option):
                groups.setdefault(getattr(option, "heading", OTHER), []).append(record)
        for heading, records in sorted(groups.items(), key=lambda group: group[0] == OTHER):
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, unwrapped so that they can be copied."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}# {example.purpose}\n")
                    formatter.write(f"{'':{formatter.current_indent}}{example.line}\n")


def grouped_command(*, examples: Sequence[Example] = (), **attributes: Any) -> Callable[[Any], Command]:
    """Make a function a command, with ``-h`` for help in groups, and examples at its end."""
    settings = {"help_option_names": ["-h", "--help"]}
    return click.command(cls=Command, context_settings=settings, examples=examples, **attributes)


def option(*spellings: str, **attributes: Any) -> Decorator:
    """Give a command an option that may have ``aliases`` and a ``bare`` value."""
    return click.option(*spellings, cls=Option, **attributes)


def group(heading: str, *options: Decorator) -> Decorator:
    """Give a command several options, listed under one heading."""

    def decorate(function: Decorated) -> Decorated:
        for add in reversed(options):
            add(function)
            function.__click_params__[-1].heading = heading  # type: ignore[attr-defined]
        return function

    return decorate


def add_options(command: Command, heading: str, options: Iterable[click.Option]) -> None:
    """Give a command options that somebody else offers, listed under a heading."""
    for each in options:
        each.heading = heading  # type: ignore[attr-defined]
        command.params.append(each)


def without(command: Command, words: Sequence[str], names: Collection[str]) -> list[str]:
    """The words of a command line that are left when some options, by their names, are taken out."""
    dropped = {
        spelling: not option.is_flag
        for option in command.params
        if isinstance(option, click.Option) and option.name in names
        for spelling in option.opts
    }
    left, coming = [], iter(command.spell_out(words))
    for word in coming:
        if word in dropped:
            if dropped[word]:
                next(coming, None)
        elif word.partition("=")[0] not in dropped:
            left.append(word)
    return left


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-"
