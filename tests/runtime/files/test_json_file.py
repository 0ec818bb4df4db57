"""JSON as its standard has it."""

from __future__ import annotations

import json

import pytest

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.json_file import parse_json, read_json

REFUSED = {
    "NaN": b"NaN",
    "infinity": b"[-Infinity]",
    "beyond all floats": b'{"a": 1e999}',
    "a whole number of 400 digits": b"[" + b"7" * 400 + b"]",
    "a negative one": b"-" + b"7" * 400,
    "more digits than Python reads": b"7" * 10_000,
    "half a character": rb'"\ud800"',
    "half a character as a key": rb'{"\udcff": 1}',
    "deep nesting": b"[" * 100_000,
    "no JSON": b"{'a': 1}",
    "nothing": b"",
    "no text": b"\xff\xff",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_others_could_not_read_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"a\.json is no JSON"):
        read_json(tmp_path / "a.json", failure=IntegrityError)


def test_all_else_is_what_python_reads():
    values = {"a": [1, -2, 2**64 - 1, 1.5, 1e-400, True, None, "ü😀"], "b": {"": "\\ud800"}}
    content = json.dumps(values).encode()
    assert parse_json(content) == json.loads(content)


def test_a_number_of_three_hundred_digits_can_still_be_counted_with():
    assert float(parse_json(b"9" * 300)) < float("inf")


def test_a_json_file_is_bounded(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * 100 + b"1")
    assert read_json(tmp_path / "a.json") == 1
    with pytest.raises(BadInputError, match="100 at most"):
        read_json(tmp_path / "a.json", most=100)
