"""Lists on a command line: ``eager,plain``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dit4sr.runtime.errors import BadInputError


def parse_names(text: str | None) -> tuple[str, ...]:
    """Read ``eager,plain``; nothing is no names."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


class NamesType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """Names on a command line, separated by commas; where some are known, only those.

    ``nothing`` is a word for no names at all.
    """

    name = "names"

    def __init__(self, known: Sequence[str] = (), *, nothing: str = "") -> None:
        self._known, self._nothing = known, nothing

    def convert(
        self, value: Any, param: click.Parameter | None, _ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names that a word lists; a default may be names already."""
        if isinstance(value, tuple):
            return value
        names = () if value == self._nothing else parse_names(value)
        if self._known and (unknown := [name for name in names if name not in self._known]):
            flag = param.opts[0] if param else "a list with"
            raise BadInputError(f"{flag} {unknown[0]!r}", expected=f"some of {', '.join(self._known)}")
        return names
