"""How a service opens its bundle: the parameters in ``config.pbtxt``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.settings import MOST_PIXELS

_MEANINGS = {
    "backend": "As --backend of dit4sr-upscale.",
    "threads": "Of one operator on a CPU; 0 shares the cores between the instances.",
    "low_memory": "As --low-memory: true holds one component at a time.",
    "most_pixels": "Larger pictures, and larger results, are refused before they are decoded.",
    "trust_engines": "As --trust-engines: true runs engines that were built on another machine.",
}


@dataclass(frozen=True)
class Parameters:
    """Each has the value that the command has."""

    backend: str = AUTO
    threads: int = 0
    low_memory: bool = False
    most_pixels: int = MOST_PIXELS
    trust_engines: bool = False

    @classmethod
    def of(cls, stated: Mapping[str, str]) -> Parameters:
        """Read them from a configuration, which may leave any out, and has others that are Triton's."""
        known = {field.name: field.default for field in fields(cls)}
        return cls(
            **{name: _value(name, stated[name], like) for name, like in known.items() if name in stated}
        )

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Each one's name, its value as text, and what it means."""
        for name, meaning in _MEANINGS.items():
            yield name, str(getattr(self, name)).lower(), meaning


def _value(name: str, text: str, like: object) -> Any:
    if isinstance(like, str):
        return text
    if isinstance(like, bool):
        if text not in {"true", "false"}:
            raise BadInputError(f"parameter {name} is {text[:40]!r}", expected="true or false")
        return text == "true"
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInputError(f"parameter {name} is {text[:40]!r}", expected="a whole number")
    return int(text)
