"""Names of files, as people type them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dit4sr.runtime.errors import BadInputError

IMPOSSIBLE = {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


def checked_name(name: str | os.PathLike[str]) -> Path:
    """The path of a name that a file can have, whether or not one has it."""
    text = os.fspath(name)
    if not text:
        # To Python it would be the folder that one is in.
        raise BadInputError("an empty name", expected="that of a file or folder")
    try:
        Path(text).lstat()
    except OSError as error:
        if error.errno in IMPOSSIBLE:
            raise BadInputError(f"{text} can be no file ({error.strerror})") from None
    except ValueError as error:  # a zero byte, or half a character
        raise BadInputError(f"{text} can be no file ({error})") from None
    return Path(text)
