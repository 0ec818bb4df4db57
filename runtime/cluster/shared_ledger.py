"""The ledger as a worker keeps it: in pieces, which whoever gets the same picture after it finds."""

from __future__ import annotations

from typing import Any

from dit4sr.runtime.batch.entry import Entry
from dit4sr.runtime.batch.ledger import is_made
from dit4sr.runtime.batch.pieces import Piece, Pieces
from dit4sr.runtime.files.address import Place


class SharedLedger:
    """Knows of one picture at a time what an earlier job kept of it, and what its own job has made of it.

    Ray runs a picture again whose worker is lost, perhaps after that has finished it. Then its piece is
    there, and the picture: what comes back is the record as it was.
    """

    def __init__(self, folder: Place, job: str) -> None:
        self._pieces, self._job = Pieces(folder), job
        self._earlier: Entry | None = None
        self.entry: Entry | None = None
        """That of the picture at hand, once it is done."""

    def begin(self, earlier: Entry | None) -> None:
        """Take up the next picture."""
        self._earlier, self.entry = earlier, None

    def tries(self, name: str) -> int:
        """Count one more attempt at a picture, and return how many there have been."""
        return self._pieces.count(name)

    def write(self, entry: Entry, details: dict[str, Any]) -> None:
        """Write the piece of a picture that is about to appear."""
        self._pieces.write(Piece(entry, self._job, details))
        self.entry = entry

    def has_finished(self, name: str, recipe: str, target: Place) -> bool:
        """True if ``target`` is what this very recipe made, in an earlier job."""
        if is_made(self._earlier, recipe, target):
            return True
        piece = self._pieces.of(name)  # left by a worker that outlived its job
        return piece is not None and is_made(piece.entry, recipe, target)

    def made(self, name: str, target: Place) -> dict[str, Any] | None:
        """What the record says of a picture that this very job has made; none if it has not."""
        piece = self._pieces.of(name)
        if piece is None or piece.job != self._job or not is_made(piece.entry, piece.entry.recipe, target):
            return None
        self.entry = piece.entry
        return piece.details
