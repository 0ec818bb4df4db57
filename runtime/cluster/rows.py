"""What goes to a worker and what comes back, as JSON in ASCII: names of files may be bytes and no text."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dit4sr.runtime.batch.entry import Entry
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.files.address import Address, Place

ENDS = "ends"
"""The status of an answer that ends the job."""


@dataclass(frozen=True)
class Order:
    """One picture to restore, and what an earlier job has kept of it."""

    item: Item
    earlier: Entry | None = None

    def to_json(self) -> str:
        """Return the order in ASCII."""
        item = self.item
        return json.dumps(
            {
                "name": item.name,
                "source": _plain(item.source),
                "target": _plain(item.target),
                "format": item.format,
                "earlier": self.earlier and asdict(self.earlier),
            }
        )

    @classmethod
    def of(cls, text: str) -> Order:
        """Read an order."""
        plain = json.loads(text)
        item = Item(plain["name"], _place(plain["source"]), _place(plain["target"]), plain["format"])
        return cls(item, plain["earlier"] and Entry(**plain["earlier"]))


@dataclass(frozen=True)
class Answer:
    """What became of a picture, and the entry of one that is done."""

    name: str
    status: str
    details: dict[str, Any]
    entry: Entry | None = None
    notices: tuple[str, ...] = ()
    """What the worker has to say of its backend."""

    def to_json(self) -> str:
        """Return the answer in ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Answer:
        """Read an answer."""
        plain = json.loads(text)
        entry = plain["entry"] and Entry(**plain["entry"])
        return cls(**plain | {"entry": entry, "notices": tuple(plain["notices"])})


def _plain(place: Place | None) -> Any:
    if isinstance(place, Address):
        return asdict(place)
    return None if place is None else str(place)


def _place(plain: Any) -> Place | None:
    if isinstance(plain, dict):
        return Address(**plain)
    return None if plain is None else Path(plain)
