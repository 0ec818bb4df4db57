"""Whose engines may run: an engine is code, and a bundle may come from a stranger.

Engines that were built on this machine are remembered in the user's configuration by the digests of their
files, each in a file of its own that is named after them. A bundle may be moved or copied; an engine of which
one byte is another is no longer known. What is not the user's own, or is damaged, counts as not there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress

from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.folders import forget_the_oldest, is_private, make_private, user_config
from dit4sr.runtime.files.reading import read_file
from dit4sr.runtime.files.whole import write_whole

VARIABLE = "DIT4SR_TRUST_ENGINES"
"""An environment variable that says for a service what ``--trust-engines`` says: ``1``, and nothing else."""
MOST = 4096
"""Engines that are remembered; the oldest are forgotten."""


def is_given_by_environment() -> bool:
    """True if whoever set up this process trusts the engines of all bundles."""
    return os.environ.get(VARIABLE) == "1"


def was_built_here(files: Sequence[FileRecord]) -> bool:
    """True if an engine of exactly these files was built by this user on this machine."""
    folder, text = user_config("built-engines"), _text(files)
    if folder is None or not files:
        return False
    try:
        return is_private(folder) and read_file(folder / _name(text), most=len(text)) == text
    except (OSError, BadInputError):
        return False


def remember(files: Sequence[FileRecord]) -> None:
    """Note that an engine of these files was built here; where nothing can be noted, it is not."""
    folder, text = user_config("built-engines"), _text(files)
    if folder is None:
        return
    with suppress(OSError, BadInputError):
        make_private(folder)
        write_whole(folder / _name(text), text, replace=True)
        forget_the_oldest(folder, keep=MOST)


def _text(files: Sequence[FileRecord]) -> bytes:
    return "".join(f"{record.sha256}\n" for record in files).encode()


def _name(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
