"""EXIF comes through from every format to every format: where, when and with what."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.runtime_pictures import pixels

from dit4sr.runtime.image.metadata import OF_THE_FILE
from dit4sr.runtime.image.photo import Photo, read_photo
from dit4sr.runtime.image.writing import write_photo

EXIF_DIRECTORY, GPS = 0x8769, 0x8825
FORMATS = ["JPEG", "PNG", "TIFF", "WEBP"]


def exif() -> bytes:
    """A description, a camera's exposure and its place, as a phone writes them."""
    block = Image.Exif()
    block[0x010E], block[0x0112] = "a description", 6
    block[EXIF_DIRECTORY] = {0x829A: 0.008, 0x9003: "2020:01:01 00:00:00"}
    block[GPS] = {1: "N", 2: (48.0, 8.0, 12.5), 29: "2020:01:01"}
    return block.tobytes()


def written(format_name: str, values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format_name, exif=exif())
    return buffer.getvalue()


def said(content: bytes) -> tuple[object, ...]:
    with Image.open(io.BytesIO(content)) as image:
        found = image.getexif()
        exposure, place = (found.get_ifd(directory) for directory in (EXIF_DIRECTORY, GPS))
        return found.get(0x010E), found.get(0x0112), exposure.get(0x9003), place.get(1), place.get(2)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_it_survives_from_every_format_to_every_format(source, target, deep):
    photo = read_photo(written(source, pixels()), most_pixels=1000)
    assert photo.warnings == ()
    assert photo.size == (9, 12)  # turned, once
    if deep:
        photo = Photo(photo.rgb.astype(np.uint16) * 257, exif=photo.exif)
    content, lost = write_photo(photo, target)
    assert not [words for words in lost if "EXIF" in words]
    assert said(content) == ("a description", None, "2020:01:01 00:00:00", "N", (48.0, 8.0, 12.5))


def test_nothing_of_the_file_that_was_read_gets_into_another():
    photo = read_photo(written("TIFF", pixels()), most_pixels=1000)
    block = Image.Exif()
    block.load(photo.exif)
    assert not OF_THE_FILE & set(block)
