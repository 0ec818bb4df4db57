"""What a request of C asks for, as the runtime's own settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dit4sr.runtime.choices import check_names
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.settings import Settings

NAMED = ("preset", "solver", "scale", "guidance", "steps", "tile")
"""Settings that have a field of their own in C."""
_IN_MORE = tuple(field.name for field in fields(Settings) if field.name != "wording")


@dataclass(frozen=True)
class Wishes:
    """A request; what C left zero is left to the runtime."""

    settings: Settings
    seed: int
    prompt: str | None
    negative: str | None

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Wishes:
        """Read the fields of a request, of which text is bytes still."""
        given: dict[str, Any] = {
            name: _text(value) if isinstance(value, bytes) else value for name, value in request.items()
        }
        chosen = {name: given[name] for name in NAMED if given[name]}
        if given["more"]:
            chosen = {**_more(given["more"]), **chosen}
        check_names(chosen, _IN_MORE, "setting")
        return cls(Settings(**chosen), given["seed"], given["prompt"], given["negative"])


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadInputError(f"text {value[:40]!r} is not UTF-8", expected="UTF-8") from None


def _more(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"more is no JSON ({error})", expected="an object of settings") from None
    if not isinstance(found, dict):
        raise BadInputError(f"more is {text[:40]!r}", expected="an object of settings")
    return found
