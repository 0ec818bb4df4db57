"""What is kept of a finished picture, and what a job asks of whoever keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Place


class LedgerError(BadInputError):
    """The ledger cannot be read or written."""


@dataclass(frozen=True)
class Entry:
    """What a finished picture was made from and how, and what came out."""

    name: str
    recipe: str
    """Digest of everything the output depends on."""
    output_sha256: str


class Keeper(Protocol):
    """Keeps entries: in one ledger, or from many machines."""

    def write(self, entry: Entry, details: dict[str, Any]) -> None:
        """Keep an entry, and what the picture's record will say, before the picture appears."""

    def has_finished(self, name: str, recipe: str, target: Place) -> bool:
        """True if ``target`` is what this very recipe made."""

    def made(self, name: str, target: Place) -> dict[str, Any] | None:
        """What the record says of a picture that this very job has made; none if it has not."""
