"""What a command has left in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dit4sr.runtime.batch.ledger import NAME as LEDGER


def names(folder: Path) -> list[str]:
    """Every file but the ledger, by its path below the folder."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != LEDGER
    )


def digests(folder: Path) -> dict[str, str]:
    """The same, with what is in them."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names(folder)}
