"""Room for bundles that are needed for a moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Make an empty folder next to what it is for, gone afterwards; one that a killed run left goes first."""
    folder = beside.absolute().with_name(f".{beside.name}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
