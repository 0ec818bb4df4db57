"""Tables line up, and byte counts read as a model card's."""

from __future__ import annotations

import pytest

from dit4sr.runtime.console.table import SEPARATOR, format_bytes, format_table


def test_columns_line_up():
    text = format_table(["name", "n"], [["a", "1"], SEPARATOR, ["longer", "1,000"]])
    assert text.splitlines() == [
        "name        n",
        "─────────────",
        "a           1",
        "─────────────",
        "longer  1,000",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (864.1e6, "864.1 MB"), (5.19e9, "5.19 GB")],
)
def test_bytes(count, text):
    assert format_bytes(count) == text
