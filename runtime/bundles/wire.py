"""The wire format of protocol buffers, in which ONNX graphs are written, as far as our use of them takes it.

A message is a row of numbered fields. What nobody asks for is stepped over, so a file of gigabytes costs the
pages that are looked at; and it can be copied as it stands, so that a message is changed in one place.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10
"""Bytes of a 64-bit number, seven bits in each."""

Field = tuple[int, int | memoryview]
"""A field's number, and its value: a number, or the bytes of a text or of a message within."""


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message; a ``ValueError`` says that it is none."""
    return ((number, value) for number, value, _ in written_fields(message))


def written_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yield the fields of a message, each with all its bytes, key and length included."""
    place, end = 0, len(message)
    while place < end:
        start = place
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if number == 0 or key >> 32:
            raise ValueError("a field has no number")
        if kind == VARINT:
            whole_number, place = _varint(message, place)
            yield number, whole_number, message[start:place]
            continue
        if kind == BYTES:
            length, place = _varint(message, place)
        elif kind in {FIXED32, FIXED64}:
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field is of kind {kind}")
        if length > end - place:
            raise ValueError("a field is longer than its message")
        part = message[place : place + length]
        place += length
        value = part if kind == BYTES else int.from_bytes(part, "little")
        yield number, value, message[start:place]


def field(number: int, value: int | bytes) -> bytes:
    """A field as it is written: a number from 0 up, or the bytes of a text or of a message within."""
    if isinstance(value, int):
        return _written(number << 3 | VARINT) + _written(value)
    return _written(number << 3 | BYTES) + _written(len(value)) + value


def numbers(value: int | memoryview) -> list[int]:
    """The whole numbers of a repeated field: each in a field of its own, or all in one."""
    if isinstance(value, int):
        return [signed(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(signed(number))
    return found


def signed(value: int) -> int:
    """A varint as the signed number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def text(value: int | memoryview) -> str:
    """A field's text."""
    if isinstance(value, int):
        raise ValueError("a number in place of a text")
    return str(value, "utf-8")


def message(value: int | memoryview) -> memoryview:
    """A field's bytes."""
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(message[place : place + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value & ((1 << 64) - 1), place + i + 1
    raise ValueError("a number has no end")


def _written(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
