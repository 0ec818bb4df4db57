"""Writing a file so that it appears whole or not at all, and never on top of another by accident."""

from __future__ import annotations

import os
from pathlib import Path

from dit4sr.runtime.errors import BadInputError


def write_whole(target: Path, content: bytes, *, replace: bool = False) -> None:
    """Write beside the target and move into place; without ``replace`` an existing target is an error."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                partial.replace(target)
            else:
                # A link, unlike a rename, refuses a name that has been taken since we looked.
                os.link(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError:
        raise BadInputError(
            f"{target} exists", fix="choose another -o, or say --overwrite, --skip-existing or --resume"
        ) from None
    except OSError as error:
        raise BadInputError(f"{target} cannot be written ({error.strerror})") from None
