"""Reading files: ordinary ones, within a bound."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.arrays import LARGEST_ARRAYS, read_arrays
from dit4sr.runtime.files.reading import (
    opened,
    read_file,
    read_stream,
    read_text,
    require_ordinary,
    sha256_of,
)

READERS = {
    "opened": lambda file: opened(file, most=100).__enter__(),
    "read_file": lambda file: read_file(file, most=100),
    "read_text": lambda file: read_text(file, most=100),
    "require_ordinary": require_ordinary,
    "sha256_of": sha256_of,
}


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def listening_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    return folder / "socket"


SPECIAL = {
    "a FIFO": fifo,
    "a socket": listening_socket,
    "a device": lambda _: Path("/dev/zero"),
    "a link to a device": lambda folder: folder.joinpath("link").symlink_to("/dev/zero") or folder / "link",
    "a folder": lambda folder: folder,
    "nothing": lambda folder: folder / "absent",
    "a name with a zero": lambda folder: folder / "a\0b",
    "a name of half a character": lambda folder: folder / "\ud800",
    "a name too long": lambda folder: folder / ("x" * 5000),
}


def test_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("special", SPECIAL.values(), ids=SPECIAL)
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path, special, reader):
    with pytest.raises(BadInputError):
        reader(special(tmp_path))


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("dit4sr.runtime.files.reading.require_ordinary", lambda *_: None)
    with pytest.raises(BadInputError, match="no ordinary file"):
        read_file(fifo(tmp_path), most=100)


def test_what_a_refusal_means_is_up_to_the_reader(tmp_path):
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_file(tmp_path / "absent", most=1, failure=IntegrityError)


@pytest.mark.parametrize("read", [read_file, read_text])
def test_the_bound_is_held(tmp_path, read):
    (tmp_path / "ten").write_bytes(b"0123456789")
    assert len(read(tmp_path / "ten", most=10)) == 10
    with pytest.raises(BadInputError, match="has 10 bytes or more; expected 9 at most"):
        read(tmp_path / "ten", most=9)


def test_forty_gigabytes_of_nothing_are_not_read(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(40 << 30)
    with pytest.raises(BadInputError, match="42,949,672,960 bytes"):
        read_file(tmp_path / "sparse", most=1 << 30)


class Endless(io.RawIOBase):
    """A stream that gives all that is asked for."""

    given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "asked for everything"
        self.given += size
        return bytes(size)


def test_no_more_than_the_bound_is_taken_from_a_stream_that_never_ends():
    stream = Endless()
    with pytest.raises(BadInputError, match="expected 10,000,000 at most"):
        read_stream(stream, "standard input", most=10_000_000)
    assert stream.given == 10_000_001


def test_a_file_that_grows_is_read_to_its_bound():
    """Of /proc's files too it is only known at their end how many bytes they have."""
    with pytest.raises(BadInputError, match="bytes or more"):
        read_file(Path("/proc/self/status"), most=10)


def test_a_text_that_is_none(tmp_path):
    (tmp_path / "text").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadInputError, match="not UTF-8 text"):
        read_text(tmp_path / "text")


def test_arrays_come_back_as_they_were(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.arange(3), two=np.ones((2, 2), np.float32))
    arrays = read_arrays(tmp_path / "a.npz")
    assert arrays.keys() == {"one", "two"}
    np.testing.assert_array_equal(arrays["one"], [0, 1, 2])


def test_arrays_that_would_unpack_to_everything_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(1 << 20, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 5000
    assert LARGEST_ARRAYS == 4 << 30
    monkeypatch.setattr("dit4sr.runtime.files.arrays.LARGEST_ARRAYS", 100_000)
    with pytest.raises(IntegrityError, match="unpacks to more than 100,000 bytes"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x93NUMPY\1\0", b"\x80\4K\1."])
def test_what_holds_no_arrays_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(IntegrityError, match="holds no arrays"):
        read_arrays(tmp_path / "a.npz")
