"""Files that are reached by an address, as in ``s3://bucket/photos/a.png``, through pyarrow's file systems.

An address answers to the few names of a path that a job of pictures asks for, so that either may stand for
the place of a picture. pyarrow knows S3, Google's and Hadoop's stores; what it does not know, fsspec may.
"""

from __future__ import annotations

import errno
import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from dit4sr.runtime.errors import Dit4srError, MissingDependencyError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WHOLE_BY_THEMSELVES = frozenset({"s3", "gs", "gcs", "az", "abfs", "abfss", "hf"})
"""Stores whose objects appear when they are complete; elsewhere a file is written aside and moved."""
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Address:
    """A file or folder of a store."""

    root: str
    """Scheme and authority, as in ``s3://bucket``; it may hold a key, and is not for people to read."""
    path: str
    """Below the root, without slashes around it."""
    query: str = ""
    """How the store is reached, as in ``endpoint_override=127.0.0.1:9000&scheme=http``."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take an address apart."""
        parts = urlsplit(text)
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"), parts.query)

    def __str__(self) -> str:
        scheme, _, authority = self.root.partition("://")
        return f"{scheme}://{authority.rpartition('@')[2]}/{self.path}"

    def __truediv__(self, below: str | os.PathLike[str]) -> Address:
        return self._with(PurePosixPath(self.path) / below)

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> Address:
        """The folder that it is in."""
        return self._with(PurePosixPath(self.path).parent)

    def with_suffix(self, suffix: str) -> Address:
        """The same with another ending."""
        return self._with(PurePosixPath(self.path).with_suffix(suffix))

    def exists(self) -> bool:
        """True if there is a file or a folder."""
        return self._kind() != "NotFound"

    def is_file(self) -> bool:
        """True if there is a file."""
        return self._kind() == "File"

    def is_dir(self) -> bool:
        """True if there is a folder, which to a store of objects is what has something in it."""
        return self._kind() == "Directory"

    def files(self, *, recursive: bool) -> list[Address]:
        """The files in this folder, sorted by name; none if there is no such folder."""
        with _as_os_error():
            fs, base = self._store()
            from pyarrow import fs as stores  # noqa: PLC0415 - it takes half a second

            place = _joined(base, self.path)
            found = fs.get_file_info(stores.FileSelector(place, allow_not_found=True, recursive=recursive))
            files = [each.path for each in found if each.type == stores.FileType.File]
        return [replace(self, path=path[len(base) :].strip("/")) for path in sorted(files)]

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file to read it from its beginning on."""
        with _as_os_error():
            fs, base = self._store()
            with fs.open_input_stream(_joined(base, self.path), compression=None) as stream:
                yield stream

    def write(self, content: bytes) -> None:
        """Write the file; it appears whole, and takes the place of one that is there."""
        with _as_os_error():
            fs, base = self._store()
            place = _joined(base, self.path)
            if self.root.partition("://")[0] in WHOLE_BY_THEMSELVES:
                _put(fs, place, content)
                return
            folder, _, name = place.rpartition("/")
            fs.create_dir(folder or "/", recursive=True)
            draft = f"{folder}/.{name[:32]}.{os.urandom(8).hex()}.partial"
            _put(fs, draft, content)
            fs.move(draft, place)

    def remove_file(self) -> None:
        """Remove the file."""
        with _as_os_error():
            fs, base = self._store()
            fs.delete_file(_joined(base, self.path))

    def remove_folder(self) -> None:
        """Remove the folder and all that is in it, if it is there."""
        with _as_os_error():
            fs, base = self._store()
            fs.delete_dir_contents(_joined(base, self.path), missing_dir_ok=True)
            if self.root.partition("://")[0] not in WHOLE_BY_THEMSELVES and self.is_dir():
                fs.delete_dir(_joined(base, self.path))

    def _with(self, path: PurePosixPath) -> Address:
        return replace(self, path="" if str(path) == "." else str(path).strip("/"))

    def _kind(self) -> str:
        with _as_os_error():
            fs, base = self._store()
            kind: str = fs.get_file_info(_joined(base, self.path)).type.name
        return kind

    def _store(self) -> tuple[Any, str]:
        return _opened_store(self.root, self.query)


Place = Path | Address
"""Where a picture lies: a file of this machine, or one of a store."""


def is_address(text: str) -> bool:
    """True for a name that begins as an address does; a drive of Windows has one letter, and is none."""
    return bool(_ADDRESS.match(text))


def place_of(text: str) -> Place:
    """The place that a word of the command line names; ``file://`` is a file like any other."""
    if not is_address(text):
        return Path(text)
    parts = urlsplit(text)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Address.parse(text)


@functools.cache
def _opened_store(root: str, query: str) -> tuple[Any, str]:
    """The file system of an address, and what all its paths begin with."""
    try:
        import pyarrow  # noqa: PLC0415 - only addresses need it
        from pyarrow import fs as stores  # noqa: PLC0415
    except ImportError:
        raise _missing("pyarrow") from None
    try:
        found, base = stores.FileSystem.from_uri(f"{root}/" + (f"?{query}" if query else ""))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415
        except ImportError:
            raise _missing("fsspec") from None
        filesystem, base = url_to_fs(f"{root}/")
        found = stores.PyFileSystem(stores.FSSpecHandler(filesystem))
    return found, base.rstrip("/")


def _missing(library: str) -> MissingDependencyError:
    return MissingDependencyError(f"not installed: {library}", fix="pip install 'dit4sr[ray]'")


def _joined(base: str, path: str) -> str:
    return f"{base}/{path}".rstrip("/")


def _put(fs: Any, place: str, content: bytes) -> None:
    with fs.open_output_stream(place, compression=None) as stream:
        stream.write(content)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Whatever a store's library raises, as the error of a file, with its reason in a line."""
    try:
        yield
    except (Dit4srError, MemoryError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
        raise OSError(number, reason[:_LONGEST_REASON]) from None
