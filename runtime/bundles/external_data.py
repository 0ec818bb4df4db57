"""Where an ONNX graph takes its weights from, read from its bytes without the onnx package.

Any tensor of a graph may say that its numbers are in another file; a library that opens the graph follows it.
Here the graph's protobuf is walked for all of them, and those are refused that the manifest does not name.
Nothing is interpreted but what leads to such a tensor: other fields, also unknown ones, are stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.bundles.wire import fields
from dit4sr.runtime.errors import IncompatibleError, IntegrityError

CHILDREN: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}
"""Messages of onnx.proto, and by number those of their fields that lead to external data."""

DEEPEST, MOST_FIELDS, LONGEST_WORD = 100, 5_000_000, 4096
"""Protobuf reads no deeper; the step of dit4sr-tiny has 11,021 fields, and half a second reads 600,000."""

Words = Mapping[bytes, bytes]
"""What one tensor says of its data: ``location``, and perhaps ``offset`` and ``length``."""


class MalformedGraphError(ValueError):
    """Bytes that are no protobuf message of a graph."""


def check_external_data(
    content: bytes | memoryview, graph: FileRecord, data: Sequence[FileRecord], path: Path
) -> None:
    """Refuse a graph that takes weights from any file but its component's ``data``, or beyond its end."""
    home = PurePosixPath(graph.path).parent
    known = {
        PurePosixPath(record.path).relative_to(home).as_posix().encode(): record.bytes
        for record in data
        if PurePosixPath(record.path).is_relative_to(home)
    }
    try:
        for words in external_tensors(content):
            location = words.get(b"location", b"")
            if location not in known:
                raise IntegrityError(
                    f"{path} takes weights from {location[:80].decode(errors='replace')!r}",
                    expected="files that the manifest names for it",
                    fix="export the bundle anew, and use none from a stranger that says so",
                )
            if sum(_number(words.get(key, b"0")) for key in (b"offset", b"length")) > known[location]:
                raise IntegrityError(
                    f"{path} takes weights from beyond the end of {location.decode()!r}",
                    fix="copy the bundle again, or export it anew",
                )
    except MalformedGraphError as error:
        raise IncompatibleError(
            f"{path} cannot be loaded: it is no ONNX graph ({error})",
            fix="check the bundle with dit4sr-export, or export it anew",
        ) from None


def external_tensors(content: bytes | memoryview) -> Iterator[Words]:
    """What each tensor that has anything to say of external data says, wherever in the model it is.

    Whether it also says that its data is external is not asked: messages that occur twice are merged.
    """
    yield from _Walk().tensors("ModelProto", memoryview(content), 0)


class _Walk:
    """One pass over a message, of bounded depth and length."""

    def __init__(self) -> None:
        self._fields_left = MOST_FIELDS

    def tensors(self, kind: str, part: memoryview, depth: int) -> Iterator[Words]:
        """External data of a message and of those within it."""
        if depth > DEEPEST:
            raise MalformedGraphError("it is nested too deeply")
        words: dict[bytes, bytes] = {}
        for number, value in self._parts(part):
            child = CHILDREN[kind].get(number)
            if kind == "TensorProto" and child:
                key, word = self._entry(value)
                if key in words:
                    raise MalformedGraphError("a tensor has external data twice")
                words[key] = word
            elif child:
                yield from self.tensors(child, value, depth + 1)
        if words:
            yield words

    def _entry(self, part: memoryview) -> tuple[bytes, bytes]:
        """A key and its value; of a field that occurs twice the last counts."""
        words = {1: b"", 2: b""}
        for number, value in self._parts(part):
            if len(value) > LONGEST_WORD:
                raise MalformedGraphError("a name in it is too long")
            words[number] = bytes(value)
        return words[1], words[2]

    def _parts(self, part: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Fields of a message that are texts or messages themselves."""
        try:
            for number, value in fields(part):
                self._fields_left -= 1
                if self._fields_left < 0:
                    raise MalformedGraphError("it has too many parts")
                if not isinstance(value, int):
                    yield number, value
        except MalformedGraphError:
            raise
        except ValueError as error:
            raise MalformedGraphError(str(error)) from None


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise MalformedGraphError("an offset or length in it is no number")
    return int(digits)
