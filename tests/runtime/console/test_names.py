"""Lists on a command line."""

from __future__ import annotations

import click
import pytest

from dit4sr.runtime.console.names import NamesType, parse_names
from dit4sr.runtime.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "names"), [("a,b", ("a", "b")), (" a , b ,", ("a", "b")), ("", ()), (None, ())]
)
def test_names_are_separated_by_commas(text, names):
    assert parse_names(text) == names


def test_unknown_names_are_refused_with_those_that_are_known():
    flag = click.Option(["--baseline"])
    assert NamesType(["eager", "plain"]).convert("plain,eager", flag, None) == ("plain", "eager")
    assert NamesType().convert("anything", flag, None) == ("anything",)
    with pytest.raises(BadInputError, match="--baseline 'magic'; expected some of eager, plain"):
        NamesType(["eager", "plain"]).convert("eager,magic", flag, None)


def test_a_word_may_stand_for_no_names_but_not_beside_some():
    names = NamesType(["eager"], nothing="none")
    assert names.convert("none", None, None) == ()
    assert names.convert("eager", None, None) == ("eager",)
    with pytest.raises(BadInputError, match="'none'; expected some of eager"):
        names.convert("eager,none", None, None)
