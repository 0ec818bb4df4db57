"""JPEG files that go over their picture again and again."""

from __future__ import annotations

import pytest
from PIL import Image
from support.runtime_pictures import jpeg, oriented, pixels, saved

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import read_photo
from dit4sr.runtime.image.scans import MOST_SCANS, count_scans

SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"
"""One that holds nothing: the decoder looks at every block for it."""


def redrawn(scans: int) -> bytes:
    """A progressive grey picture, drawn in so many scans."""
    base = saved(Image.fromarray(pixels((64, 64), channels=1)), "JPEG", progressive=True)
    end = base.rindex(b"\xff\xd9")
    return base[:end] + SCAN * (scans - count_scans(base)) + base[end:]


def test_scans_are_counted():
    assert count_scans(jpeg()) == 1
    assert count_scans(jpeg(progressive=True)) == 10
    assert count_scans(redrawn(37)) == 37


def test_what_only_looks_like_a_scan_is_none():
    thumbnail = jpeg(comment=SCAN * 200)
    assert thumbnail.count(b"\xff\xda") == 201
    assert count_scans(thumbnail) == 1
    assert count_scans(oriented(6) + SCAN * 200) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff" * 100, jpeg()[:100]])
def test_what_is_cut_short_is_counted_to_its_end(content):
    assert count_scans(content) <= 1


def test_every_file_that_people_have_may_be_drawn():
    assert read_photo(redrawn(MOST_SCANS), most_pixels=10_000).size == (64, 64)


def test_a_picture_drawn_without_end_is_refused_before_it_is_decoded():
    with pytest.raises(BadInputError, match="drawn in 100,000 scans; expected 100 at most"):
        read_photo(redrawn(100_000), most_pixels=10_000)
