"""Strict JSON for frozen dataclasses: what is read has the declared shape, or is refused with its place."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

LARGEST_NUMBER = 1 << 63
"""A manifest counts bytes and sizes: what no machine can count is no number of anything."""


class SchemaError(ValueError):
    """A value in a JSON document that is not what its place there asks for."""


def from_json(kind: type[T], value: Any, place: str = "") -> T:
    """Build a frozen dataclass from parsed JSON, checking every field; unknown fields are refused."""
    built: T = _read(kind, value, place)
    return built


def to_json(value: Any) -> Any:
    """Return plain JSON values for a dataclass, in field order."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def checked_json(value: Any, place: str = "") -> Any:
    """Return the value itself, if writing it as JSON and reading it back gives an equal one."""
    match value:
        case dict():
            for key, item in value.items():
                checked_json(_expect(str, key, f"a key of {place}"), f"a key of {place}")
                checked_json(item, f"{place}.{key}")
        case list():
            for i, item in enumerate(value):
                checked_json(item, f"{place}[{i}]")
        case str() if any("\ud800" <= character <= "\udfff" for character in value):
            raise SchemaError(f"{place} is {_shown(value)}, which is no Unicode text")
        case float() if not math.isfinite(value):
            raise SchemaError(f"{place} is {value}, which JSON has no number for")
        case _ if value is not None and type(value) not in {str, int, float, bool}:
            raise SchemaError(f"{place} is {_shown(value)}, which JSON has no value for")
    return value


def _read(kind: Any, value: Any, place: str) -> Any:
    if is_dataclass(kind):
        return _read_dataclass(kind, value, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _read_union(arguments, value, place)
    if origin is tuple:
        items = _expect(list, value, place)
        return tuple(_read(arguments[0], item, f"{place}[{i}]") for i, item in enumerate(items))
    if origin is not None and issubclass(origin, Mapping):
        entries = _expect(dict, value, place)
        return {
            checked_json(key, f"a key of {place}"): _read(arguments[1], item, f"{place}.{key}")
            for key, item in entries.items()
        }
    return checked_json(value if kind is Any else _number_or_text(kind, value, place), place)


def _number_or_text(kind: Any, value: Any, place: str) -> Any:
    if type(value) is int and kind in {int, float} and abs(value) > LARGEST_NUMBER:
        raise SchemaError(f"{place} is {_shown(value)}, which is no size of anything")
    return float(value) if kind is float and type(value) is int else _expect(kind, value, place)


def _read_dataclass(kind: Any, value: Any, place: str) -> Any:
    entries = _expect(dict, value, place)
    hints, known = _hints(kind), {field.name: field for field in fields(kind)}
    if unknown := sorted(entries.keys() - known.keys()):
        raise SchemaError(f"{place or 'the document'} has an unknown field {unknown[0]!r}")
    required = {name for name, field in known.items() if field.default is MISSING}
    if missing := sorted(required - entries.keys()):
        raise SchemaError(f"{place or 'the document'} lacks {missing[0]!r}")
    built = {name: _read(hints[name], item, f"{place}.{name}".lstrip(".")) for name, item in entries.items()}
    try:
        return kind(**built)
    except ValueError as error:
        raise SchemaError(f"{place or 'the document'}: {error}") from None


def _read_union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if types.NoneType in kinds and value is None:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) == 1:
        return _read(kinds[0], value, place)
    for kind in kinds:
        try:
            return _read(kind, value, place)
        except SchemaError:
            continue
    raise SchemaError(f"{place} is {_shown(value)}")


def _expect(kind: Any, value: Any, place: str) -> Any:
    # bool is an int to Python, but not to a reader of manifests.
    if type(value) is not kind:
        raise SchemaError(f"{place or 'the document'} is {_shown(value)}, not {kind.__name__}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
