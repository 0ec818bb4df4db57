"""What a visitor looks at, as HTML."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.image.photo import Photo
from dit4sr.runtime.page import stage
from dit4sr.runtime.page.shelf import opened_shelf
from dit4sr.runtime.page.stage import Shown


@pytest.fixture
def shelf():
    with opened_shelf(60) as opened:
        yield opened


def shown_image(shelf):
    [path] = shelf.folder.rglob("a.jpg")
    return Image.open(io.BytesIO(path.read_bytes()))


def test_a_picture_is_shown_as_it_is(shelf):
    shown = Shown.of(Photo.of(make_photo(20, 30)), shelf, "a.jpg")
    assert (shown.width, shown.height) == shown_image(shelf).size == (30, 20)


def test_one_that_browsers_would_choke_on_is_shown_smaller(shelf):
    shown = Shown.of(Photo.of(np.zeros((10, 10_000, 3), np.uint8)), shelf, "a.jpg")
    assert (shown.width, shown.height) == shown_image(shelf).size == (4096, 4)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pictures_of_every_kind_can_be_shown(shelf, channels, depth):
    levels = make_photo(8, 9)[..., :1].repeat(channels, axis=2).astype(depth)
    if depth == np.uint16:
        levels *= 257
    Shown.of(stage.bicubic(Photo.of(levels), (18, 16)), shelf, "a.jpg")
    assert shown_image(shelf).size == (18, 16)


def test_what_strangers_wrote_is_no_markup():
    shown = Shown('a"b.jpg', 1, 1)
    for html in (
        stage.comparison("<i>", shown, shown, ["<i>"]),
        stage.photo_alone("<i>", shown, (1, 1), ["<i>"]),
        stage.problem("<i>"),
        stage.remark("<i>"),
    ):
        assert "<i>" not in html
        assert '"a"b' not in html
