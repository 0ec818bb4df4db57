"""Parameters and multiply-accumulates at full size, and what is said of whose reading they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dit4sr.export.architectures.dpir.config import READING
from dit4sr.export.reports.describe import describe, format_description


@pytest.fixture(scope="module")
def full_size():
    return describe(name="dpir")


def test_beside_what_is_added_it_is_sd3_medium(full_size):
    added = {group.name: group.live for group in full_size.summary.parameters if "DPIR" in group.origin}
    assert added == {"LQ branch": 2_791_680, "adapters": 47_730_688}
    assert full_size.live + full_size.dead - sum(added.values()) == 2_028_328_000
    assert full_size.dead == 2_360_832


def test_the_description_says_whose_reading_it_is(full_size):
    text = format_description(full_size)
    assert READING in text
    assert "256 rows of T5 and 512 of the image encoder" in text
    assert "statistics picture, epsilon 1e-06, LQ scale 1, hidden states -2 without class token" in text
    said = describe(None, {"statistics": "token", "global_reach": 4.0}, name="dpir")
    assert "statistics token" in format_description(said)
    assert "global crop of 4 tiles" in format_description(said)


def test_the_page_says_what_it_multiplies(full_size):
    page = (Path(__file__).parents[4] / "docs" / "systems.md").read_text()
    released, simplified = (
        sum(macs.values()) / 1e9 for macs in (full_size.summary.released, full_size.summary.simplified)
    )
    assert f"| DPIR, 256 rows of T5 and 512 of pictures | {released:.1f} | {simplified:.1f} |" in page
    assert f"{full_size.live + full_size.dead:,}" in page
