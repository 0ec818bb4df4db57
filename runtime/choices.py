"""Words where there are a few things to choose from, and what to say of a word that is none of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from numbers import Real
from typing import Any, Generic, TypeVar

from dit4sr.runtime.errors import BadInputError

Member = TypeVar("Member", bound=Enum)


class OneOf(Generic[Member]):
    """A field of a dataclass for a member of an enumeration, which takes the word for it as well."""

    def __init__(self, default: Member) -> None:
        self._default, self._name = default, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Member:
        member: Member = self._default if instance is None else instance.__dict__[self._name]
        return member

    def __set__(self, instance: Any, value: Member | str) -> None:
        instance.__dict__[self._name] = member_of(type(self._default), value, self._name)


class OneOfOrNone(Generic[Member]):
    """The same for a member that may be left open: ``None``, which is the default."""

    def __init__(self, kind: type[Member]) -> None:
        self._kind, self._name = kind, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Member | None:
        member: Member | None = None if instance is None else instance.__dict__[self._name]
        return member

    def __set__(self, instance: Any, value: Member | str | None) -> None:
        member = None if value is None else member_of(self._kind, value, self._name)
        instance.__dict__[self._name] = member


def member_of(kind: type[Member], value: Member | str, what: str) -> Member:
    """A member of an enumeration, itself or by the word for it."""
    words = {member.value: member for member in kind}
    word = value.lower().replace("_", "-") if isinstance(value, str) else value
    if not isinstance(value, kind) and word not in words:
        raise unknown(f"{what} {value!r}", str(value), list(words))
    return value if isinstance(value, kind) else words[word]


def is_number(value: Any) -> bool:
    """True for what can be compared with numbers; strings and ``None`` come where people type."""
    return isinstance(value, Real)


def check_names(names: Iterable[str], known: Sequence[str], what: str) -> None:
    """Refuse names that are not among the known ones."""
    for name in names:
        if name not in known:
            raise unknown(f"no {what} {name!r}", name, known)


def unknown(found: str, word: str, known: Sequence[str]) -> BadInputError:
    """The error that a word is none of the known ones: which there are, and which was probably meant."""
    # Needed only when something was mistyped.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, known, 1)
    *others, last = known
    expected = f"{', '.join(others)} or {last}" if others else last
    return BadInputError(found, expected=expected, fix=f"did you mean {near[0]}?" if near else "")
