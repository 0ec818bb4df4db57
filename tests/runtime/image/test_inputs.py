"""What counts as a picture, and what does not: one clear line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.inputs import photo_of

PHOTO = make_photo(8, 10)
DEEP = PHOTO.astype(np.uint16) * 257


def levels(picture: object) -> np.ndarray:
    return photo_of(picture, most_pixels=1_000_000).channels


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PHOTO, PHOTO),
        (DEEP, DEEP),
        (DEEP.astype(">u2"), DEEP),
        (PHOTO / 255, DEEP),
        ((PHOTO / 255).astype(np.float32), DEEP),
        ((PHOTO / 255 > 0.5), (PHOTO / 255 > 0.5) * np.uint8(255)),
        (np.asfortranarray(PHOTO), PHOTO),
        (PHOTO[::-1, ::-2], PHOTO[::-1, ::-2]),
        (PHOTO[..., 0], PHOTO[..., 0]),
        (PHOTO[..., :1], PHOTO[..., 0]),
        (PHOTO[..., :2], PHOTO[..., :2]),
        (np.dstack([PHOTO, PHOTO[..., 0]]), np.dstack([PHOTO, PHOTO[..., 0]])),
        (torch.from_numpy(PHOTO.copy()), PHOTO),
    ],
    ids=[
        *("bytes", "16 bits", "16 bits of another order", "floats of 64", "floats of 32", "bool"),
        *("Fortran", "negative strides", "grey", "grey of one channel", "grey with alpha", "alpha", "tensor"),
    ],
)
def test_an_array_means_its_levels(array, expected):
    found = levels(array)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_what_may_not_be_written_to_is_read():
    array = PHOTO.copy()
    array.flags.writeable = False
    np.testing.assert_array_equal(levels(array), PHOTO)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (PHOTO.astype(np.int64), "an array of int64; expected uint8, uint16, bool, or floats from 0 to 1"),
        (PHOTO.astype(float), "floats from .* to 2.*; expected 0 to 1"),
        (PHOTO / 255 - 1, "floats from -"),
        (np.full((8, 8), np.nan), "floats from nan to nan"),
        (np.zeros((8, 8, 3), complex), "an array of complex128"),
        (np.full((8, 8), "x"), "an array of <U1"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"shape \(1, 8, 8, 3\)"),
        (np.zeros((8, 8, 5), np.uint8), r"shape \(8, 8, 5\); expected"),
        (np.zeros((3, 8, 8), np.uint8), "move its first axis to the end"),
        (7, "a picture cannot be of type int"),
        (None, "of type NoneType"),
        (b"\x89PNG", "of type bytes"),
        ("absent.png", "absent.png cannot be read"),
        (torch.zeros(3, 8, 8, requires_grad=True), "a Tensor is no array for NumPy"),
    ],
)
def test_what_is_no_picture_is_one_line(picture, words):
    with pytest.raises(BadInputError, match=words) as caught:
        levels(picture)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_an_image_means_what_its_file_means(mode, tmp_path):
    image = Image.fromarray(np.dstack([PHOTO, PHOTO[..., 0]])).convert(mode.replace("I;16", "L"))
    if mode == "I;16":
        image = Image.fromarray(DEEP[..., 0])
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(file)
    expected = levels(file)
    np.testing.assert_array_equal(levels(image), expected)
    np.testing.assert_array_equal(levels(Image.open(file)), expected)


def test_a_damaged_file_in_an_image_is_one_line(tmp_path):
    Image.fromarray(make_photo(64, 64)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match="the image is damaged"):
        levels(Image.open(tmp_path / "a.png"))
