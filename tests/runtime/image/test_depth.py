"""Sixteen bits a channel: read as they are, restored as such, and written where a format can hold them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.photos import make_photo
from support.runtime_pictures import chunk, oriented, pixels, png_of_chunks, profile, saved

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.depth import eight_bits
from dit4sr.runtime.image.photo import Photo, read_photo, resized
from dit4sr.runtime.image.writing import write_photo

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def numbers(channels: int, height: int = 9, width: int = 12) -> np.ndarray:
    shape = (height, width, channels)
    return np.random.default_rng(channels).integers(0, 1 << 16, shape, dtype=np.uint16)


def read(content: bytes) -> Photo:
    return read_photo(content, most_pixels=1_000_000)


def png(values: np.ndarray) -> bytes:
    """Rows without a filter: written by nothing of ours."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png_of_chunks(width, height, rows, depth=16, colour=COLOUR_TYPES[channels])


def tiff(values: np.ndarray, *, planes: str = "contig", **options) -> bytes:
    file = io.BytesIO()
    extra = ["unassalpha"] if values.shape[2] == 4 else None
    if planes == "separate":
        values = np.moveaxis(values, 2, 0)
    tifffile.imwrite(
        file, values, photometric="rgb", planarconfig=planes, extrasamples=extra, metadata=None, **options
    )
    return file.getvalue()


@pytest.mark.parametrize("channels", COLOUR_TYPES)
def test_a_png_is_read_to_its_last_bit(channels):
    values = numbers(channels)
    photo = read(png(values))
    assert photo.warnings == ()
    assert photo.is_grey is (channels < 3)
    np.testing.assert_array_equal(photo.channels.reshape(values.shape), values)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_tiff_is_read_to_its_last_bit(channels, order, compression):
    values = numbers(channels)
    content = tiff(values, byteorder=order, compression=compression, predictor=compression is not None)
    np.testing.assert_array_equal(read(content).channels, values)


def test_a_tiff_in_planes_is_read_in_8_bits_or_refused():
    """Uncompressed, Pillow would take every second byte of a plane for its pixels."""
    values = numbers(3)
    photo = read(tiff(values, planes="separate", compression="deflate"))
    assert photo.warnings == ("has 16 bits a channel: restored with 8",)
    np.testing.assert_array_equal(photo.channels, values >> 8)
    with pytest.raises(BadInputError, match="separate planes"):
        read(tiff(values, planes="separate"))


@pytest.mark.parametrize("channels", COLOUR_TYPES)
@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_what_is_written_holds_every_bit_and_the_metadata(channels, format_name):
    values = numbers(channels, height=150)
    photo = Photo.of(values if channels > 1 else values[..., 0])
    exif = read(oriented(3)).exif
    content, lost = write_photo(Photo(photo.rgb, photo.alpha, photo.is_grey, exif, profile()), format_name)
    assert lost == []
    if format_name == "TIFF":
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)).reshape(values.shape), values)
    if (channels, format_name) == (2, "TIFF"):
        return  # which Pillow cannot read
    again = read(content)
    np.testing.assert_array_equal(again.channels.reshape(values.shape), values)
    assert again.icc == profile()
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif()[0x010E] == "a description"


def test_it_is_turned_as_its_orientation_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    values = numbers(3)
    photo = Photo(values, exif=exif.tobytes())
    np.testing.assert_array_equal(read(write_photo(photo, "PNG")[0]).rgb, np.rot90(values, -1))


@pytest.mark.parametrize("format_name", ["JPEG", "WEBP"])
def test_a_format_of_8_bits_says_that_it_is_one(format_name):
    _, lost = write_photo(Photo.of(numbers(3)), format_name)
    assert lost == [f"{format_name} holds 8 bits a channel: rounded to them from 16"]


def test_8_bits_are_the_nearest_level():
    values = np.array([0, 128, 129, 65535, 257 * 77], dtype=np.uint16)
    assert eight_bits(values).tolist() == [0, 0, 1, 255, 77]


def test_a_transparent_colour_is_told_by_all_its_bits():
    values = numbers(3)
    key = values[2, 3]
    values[4, 4] = key ^ 1  # nearly the same, and the same in 8 bits
    content = png(values)
    marker = key.astype(">u2").tobytes()
    alpha = read(content[:33] + chunk(b"tRNS", marker) + content[33:]).alpha
    assert alpha[2, 3] == 0
    assert (alpha == 0).sum() == 1
    assert alpha.max() == 0xFFFF


@pytest.mark.parametrize(
    "content",
    [
        b"P6 12 9 1023\n" + numbers(3).astype(">u2").tobytes(),
        png(numbers(3)),
    ],
    ids=["ppm", "png"],
)
def test_no_bits_are_lost_without_a_word(content):
    photo = read(content)
    assert photo.bits == 16 or photo.warnings == ("has 16 bits a channel: restored with 8",)


def test_files_of_8_bits_lose_nothing():
    for format_name in ("PNG", "TIFF", "PPM", "JPEG2000", "AVIF", "JPEG", "WEBP", "BMP", "GIF"):
        photo = read(saved(Image.fromarray(pixels()), format_name))
        assert (photo.bits, photo.warnings) == (8, ())


def test_resizing_is_that_of_8_bits_with_more_of_them():
    picture = make_photo(20, 30)
    deep = resized(picture.astype(np.uint16) * 257, (77, 41))
    difference = np.abs(deep / 257 - resized(picture, (77, 41)))
    assert difference.max() < 2  # 8 bits are rounded twice, a side at a time
    assert difference.mean() < 0.4


def test_a_picture_of_16_bits_is_restored_in_16(upscaler):
    """Close to that of 8, with the levels between that those do not have."""
    photo = make_photo(13, 21)
    coarse = upscaler.upscale(photo, seed=7).picture
    fine = upscaler.upscale(photo.astype(np.uint16) * 257, seed=7).picture
    assert fine.dtype == np.uint16
    assert len(np.unique(fine[..., 0])) > 256
    assert np.abs(fine / 257 - coarse).mean() < 0.5
