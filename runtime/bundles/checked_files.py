"""Files of a bundle that are open from their digest to their use: what is loaded is what was hashed.

A path says where a file is, and a moment later another may be there. So a file is opened once, and then:

- `CheckedFile.content` reads it, hashes what it read and returns those very bytes, and `CheckedFile.copied`
  writes them to a file that nobody else can open. Graphs, tokenizers, stored prompts, compiled packages and
  plans with code for the host are used from there.
- What may be too large to be held twice is hashed through the same descriptor, and then mapped from it
  (plans) or read by a library from its path (weights). Afterwards, before any of it is run,
  `CheckedFile.unchanged` refuses it if the file, or what its path leads to, is not what it was
  before it was hashed: device, inode, size, and the times when its content and its inode last changed. That
  sees a file that was written to, replaced, or replaced and put back.

It does not see what the file system keeps no time of: changes between two ticks of its clock (milliseconds),
or by somebody who may set that clock; on Windows, content that was rewritten and given its old time; and, for
what is read from its path, a folder above it that is exchanged and put back.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.errors import IntegrityError
from dit4sr.runtime.files.reading import CHUNK, sha256_of_open

IN_MEMORY = 64 << 20
"""Bytes up to which a file is held twice without a thought."""

_FIX = "copy the bundle again, or export it anew"
_FLAGS = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _flag, 0)

Identity = tuple[int, int, int, int, int]


class CheckedFile:
    """A regular file of a bundle, behind no link, open and of the size that the manifest says.

    It is closed when nobody has it any more, or by `close`.
    """

    def __init__(self, root: Path, record: FileRecord) -> None:
        self.path, self._record = root / record.path, record
        with self._reading():
            if not self.path.resolve().is_relative_to(root.resolve()):
                raise IntegrityError(f"{self.path} leads out of the bundle", fix=_FIX)
            if not self.path.is_file():
                raise IntegrityError(f"{self.path} is missing", fix=_FIX)
            if self.path.resolve() != root.resolve() / record.path:
                raise IntegrityError(f"{self.path} is a link", expected="the file itself", fix=_FIX)
            self._file = os.fdopen(os.open(self.path, _FLAGS), "rb", buffering=0)
            self._close = weakref.finalize(self, self._file.close)
            found = os.fstat(self._file.fileno())
        self._identity = _identity(found)
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError(f"{self.path} is missing", fix=_FIX)
        if found.st_size != record.bytes:
            raise IntegrityError(
                f"{self.path} has {found.st_size} bytes", expected=str(record.bytes), fix=_FIX
            )

    @property
    def is_small(self) -> bool:
        """True if it may be held in memory a second time."""
        return self._record.bytes <= IN_MEMORY

    def check(self) -> None:
        """Refuse it if its digest is not the manifest's."""
        with self._reading():
            self._file.seek(0)
            self._require_digest(sha256_of_open(self._file))

    def content(self) -> bytes:
        """Its bytes, in memory of our own, of the manifest's digest."""
        with self._reading():
            self._file.seek(0)
            content = self._file.read(self._record.bytes)
            # A system reads two gigabytes at a time.
            while len(content) < self._record.bytes and (more := self._file.read(self._record.bytes)):
                content += more
        self._require_digest(hashlib.sha256(content).hexdigest())
        return content

    def mapped(self) -> memoryview:
        """Its bytes where the system keeps them, from the same descriptor that was hashed."""
        size = self._record.bytes
        try:
            return memoryview(mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) if size else b"")
        except (OSError, ValueError):
            raise IntegrityError(f"{self.path} cannot be mapped", fix=_FIX) from None

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """A copy of the checked bytes, for a library that opens files by name, in a folder of our own."""
        with tempfile.TemporaryDirectory(prefix="dit4sr-") as folder:
            copy, digest = Path(folder) / self.path.name, hashlib.sha256()
            with self._reading(), copy.open("xb") as file:
                self._file.seek(0)
                while chunk := self._file.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            self._require_digest(digest.hexdigest())
            yield copy

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """For the length of a library's reading: in the end, whatever came of it, what changed is refused."""
        try:
            yield
        finally:
            self.require_unchanged()

    def require_unchanged(self) -> None:
        """Refuse it if it, or what its path leads to, has changed since it was opened."""
        with self._reading():
            found = [_identity(os.fstat(self._file.fileno())), _identity(os.lstat(self.path))]
        if found != [self._identity, self._identity]:
            raise IntegrityError(f"{self.path} changed while it was read", fix="try again once it is at rest")

    def close(self) -> None:
        """Let go of it."""
        self._close()

    def __enter__(self) -> CheckedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_digest(self, digest: str) -> None:
        if digest != self._record.sha256:
            raise IntegrityError(
                f"{self.path} has digest {digest[:12]}…", expected=f"{self._record.sha256[:12]}…", fix=_FIX
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise IntegrityError(f"{self.path} cannot be read ({error.strerror})", fix=_FIX) from None


@dataclass(frozen=True)
class CheckedComponent:
    """A component's graph and its data: all are open and hashed, and the graph refers to no other file."""

    graph: CheckedFile
    data: tuple[CheckedFile, ...]
    content: bytes | None
    """The graph, unless it is large."""

    @property
    def model(self) -> bytes | str:
        """The graph as libraries take it: its bytes, or the path of one that is large."""
        return str(self.graph.path) if self.content is None else self.content

    def graph_bytes(self) -> bytes | memoryview:
        """The graph's bytes, in memory or mapped."""
        return self.graph.mapped() if self.content is None else self.content

    def require_unchanged(self) -> None:
        """Refuse the component if a file that is read by its path has changed since it was opened."""
        for file in self.data if self.content is not None else (self.graph, *self.data):
            file.require_unchanged()


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
