"""A private folder for what visitors bring and take: nobody else reads it, and nothing stays for long."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from dit4sr.runtime.interruption import DELAY, LEFTOVERS

SWEEPS = 12
"""How often the shelf is swept in the time that things stay on it."""


class Shelf:
    """The folder of one page, of which each visitor knows no more than the places of what is theirs.

    Gradio keeps the photos here too, each in a folder that is named by a digest of it.
    """

    def __init__(self, folder: Path, seconds_kept: float) -> None:
        self.folder, self._seconds_kept = folder, seconds_kept
        self._is_over = threading.Event()

    def place(self, name: str) -> Path:
        """A place for a file, which nobody can guess."""
        folder = self.folder / secrets.token_urlsafe(24)
        folder.mkdir()
        return folder / name

    @staticmethod
    def address(place: Path) -> str:
        """Where the page's server hands out a file, seen from the page."""
        return f"gradio_api/file={quote(place.as_posix())}"

    def sweep(self) -> None:
        """Remove what has been here for too long."""
        oldest = time.time() - self._seconds_kept
        for entry in self.folder.iterdir():
            with suppress(OSError):
                if max(each.stat().st_mtime for each in (entry, *entry.rglob("*"))) < oldest:
                    _remove(entry)

    def _keep_sweeping(self) -> None:
        while not self._is_over.wait(self._seconds_kept / SWEEPS):
            self.sweep()

    @contextmanager
    def swept(self) -> Iterator[None]:
        """Sweep now and then, for as long as a block lasts."""
        sweeper = threading.Thread(target=self._keep_sweeping, daemon=True)
        sweeper.start()
        try:
            yield
        finally:
            self._is_over.set()
            sweeper.join()


@contextmanager
def opened_shelf(seconds_kept: float) -> Iterator[Shelf]:
    """A shelf that is gone in the end, in whatever way this process ends short of a kill."""
    with DELAY.while_beginning():
        folder = Path(tempfile.mkdtemp(prefix="dit4sr-page-"))
        shelf = Shelf(folder, seconds_kept)
    with LEFTOVERS.removed_by(partial(shutil.rmtree, folder, ignore_errors=True)), shelf.swept():
        yield shelf


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink()
