"""Previews: the same part of a picture in three states, never larger than what may be sent."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.photos import make_photo

from dit4sr.runtime.batch.previews import MOST_PROFILE, MOST_SIDE, Previews, Window
from dit4sr.runtime.image.photo import Photo


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


def states(made: Previews) -> list[Image.Image]:
    return [opened(content) for content in (made.bicubic, made.input, made.restored)]


def test_of_a_picture_that_fits_all_is_shown():
    photo = Photo(make_photo(16, 24))
    restored = Photo(np.asarray(Image.fromarray(photo.rgb).resize((96, 64), Image.Resampling.BICUBIC)))
    made = Previews.of(photo, restored)
    assert not made.window.is_part
    assert [image.size for image in states(made)] == [(96, 64)] * 3
    bicubic, own, after = (np.asarray(image, dtype=int) for image in states(made))
    assert np.abs(bicubic - after).mean() < 1, "it is what bicubic makes of the photo"
    assert np.abs(own - np.repeat(np.repeat(photo.rgb, 4, 0), 4, 1)).mean() < 8, "it is the photo's pixels"


def test_of_a_larger_picture_the_middle_is_shown_pixel_for_pixel():
    photo = Photo(make_photo(40, 500))
    restored = Photo(np.asarray(Image.fromarray(photo.rgb).resize((2000, 160), Image.Resampling.BICUBIC)))
    made = Previews.of(photo, restored)
    assert made.window == Window(360, 0, MOST_SIDE, 160, (2000, 160))
    bicubic, _, after = (np.asarray(image, dtype=int) for image in states(made))
    wanted = restored.rgb[:, 360 : 360 + MOST_SIDE]
    assert np.abs(after - wanted).mean() < 3
    assert np.abs(bicubic - wanted).mean() < 3, "all states show the same part"


def test_a_preview_is_no_larger_than_any_noise_of_its_side():
    noise = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), dtype=np.uint8)
    made = Previews.of(Photo(noise), Photo(noise))
    assert len(made.restored) < 2_000_000


def test_what_is_transparent_is_laid_on_white_and_grey_stays_grey():
    clear = np.zeros((16, 16), np.uint8)
    made = Previews.of(Photo(make_photo(16, 16), alpha=clear), Photo(make_photo(64, 64)))
    assert np.asarray(opened(made.bicubic)).min() > 250
    assert np.asarray(opened(made.input)).min() > 250
    assert np.asarray(opened(made.restored)).min() < 200
    grey = Photo(make_photo(16, 16), is_grey=True)
    assert opened(Previews.of(grey, grey).restored).mode == "L"


@pytest.mark.parametrize(("size", "is_kept"), [(0, True), (MOST_PROFILE, False)])
def test_a_colour_profile_is_kept_in_all_states_unless_it_is_huge(size, is_kept):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(size)
    made = Previews.of(Photo(make_photo(16, 16), icc=profile), Photo(make_photo(64, 64)))
    assert ["icc_profile" in image.info for image in states(made)] == [is_kept] * 3
