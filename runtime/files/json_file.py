"""JSON files, read as the standard has them and not as Python would."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import LARGEST_TEXT, Failure, read_file

MOST_DIGITS = 300
"""Digits of a whole number: with more it would be beyond all floats."""


def read_json(
    file: Path, *, most: int = LARGEST_TEXT, failure: Failure = BadInputError, is_all_text: bool = True
) -> Any:
    """The values of a JSON file, each of which can be counted with, and written again."""
    try:
        return parse_json(read_file(file, most=most, failure=failure), is_all_text=is_all_text)
    except ValueError as error:
        raise failure(f"{file} is no JSON ({error})") from None


def parse_json(content: bytes, *, is_all_text: bool = True) -> Any:
    """Read JSON; anything else, and anything that other programs could not read, is a ``ValueError``.

    Python would take NaN, whole numbers without end, numbers beyond all floats, and halves of characters. The
    last are let through where not ``is_all_text``: names of files may hold bytes that are no characters.
    """
    try:
        values = json.loads(content, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        if is_all_text:
            _refuse_half_characters(values)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return values


def _whole(digits: str) -> int:
    if len(digits.removeprefix("-")) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _refuse_half_characters(value: Any) -> None:
    """Refuse lone surrogates, which JSON can spell and no text can hold."""
    match value:
        case str():
            value.encode()
        case dict():
            for key, item in value.items():
                key.encode()
                _refuse_half_characters(item)
        case list():
            for item in value:
                _refuse_half_characters(item)
