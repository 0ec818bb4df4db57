"""One photo, however it comes: the command, a path, an image and an array give the same picture."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_pictures import profile

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Photo
from dit4sr.runtime.image.writing import write_photo

SIZE, PROFILE = (13, 9), profile()
KINDS = {"grey": 1, "grey with alpha": 2, "colours": 3, "colours with alpha": 4}


def levels(channels: int, dtype: type = np.uint8) -> np.ndarray:
    planes = np.dstack([make_photo(SIZE[1], SIZE[0]), make_photo(SIZE[1], SIZE[0], 1)[..., :1]])
    chosen = planes[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    values = chosen[..., 0] if channels == 1 else chosen
    return values if dtype is np.uint8 else values.astype(dtype) * 257


def photo_file(folder: Path, values: np.ndarray) -> Path:
    """A PNG with a colour profile, a description, and to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description", 6
    photo = Photo.of(values)
    content, _ = write_photo(Photo(photo.rgb, photo.alpha, photo.is_grey, exif.tobytes(), PROFILE), "PNG")
    (folder / "photo.png").write_bytes(content)
    return folder / "photo.png"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_photo_is_the_same_picture_however_it_comes(upscaler, toy_bundle, tmp_path, kind, dtype):
    values = levels(KINDS[kind], dtype)
    file = photo_file(tmp_path, values)
    options = ["--same-seed", "--seed", "5", "--threads", "1", "-m", str(toy_bundle)]
    assert run_command(command, [str(file), "-o", str(tmp_path / "command.png"), *options]) == 0

    from_path, from_image = upscaler([file, Image.open(file)], seed=5)
    from_array = upscaler(np.rot90(values, -1), seed=5)
    from_path.save(tmp_path / "path.png")
    from_image.save(tmp_path / "image.png")
    expected = (tmp_path / "command.png").read_bytes()
    assert (tmp_path / "path.png").read_bytes() == expected
    assert (tmp_path / "image.png").read_bytes() == expected
    assert from_array.picture.dtype == dtype
    assert from_array.picture.shape == (SIZE[0] * 4, SIZE[1] * 4, KINDS[kind])[: values.ndim]
    np.testing.assert_array_equal(from_path.picture, from_array.picture)
    with Image.open(io.BytesIO(expected)) as written:
        assert written.info["icc_profile"] == PROFILE
        assert written.getexif()[0x010E] == "a description"
        assert 0x0112 not in written.getexif()


@pytest.mark.parametrize("kind", KINDS)
def test_its_image_is_its_file(upscaler, tmp_path, kind):
    restored = upscaler(photo_file(tmp_path, levels(KINDS[kind])))
    restored.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert restored.image.mode == written.mode
        np.testing.assert_array_equal(np.asarray(restored.image), np.asarray(written))
        assert restored.image.info["icc_profile"] == PROFILE
        assert restored.image.getexif()[0x010E] == "a description"


def test_an_image_of_16_bits_has_8_in_colour_and_16_in_grey(upscaler):
    deep = upscaler(levels(3, np.uint16))
    assert (deep.picture.dtype, deep.image.mode) == (np.uint16, "RGB")
    assert np.abs(np.asarray(deep.image) - deep.picture / 257).max() <= 0.5
    grey = upscaler(levels(1, np.uint16))
    assert grey.image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(grey.image), grey.picture)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_the_brightness_of_what_its_colours_become(upscaler, dtype):
    grey = levels(1, dtype)
    colours = upscaler.upscale(np.stack([grey] * 3, axis=-1)).picture
    top = np.iinfo(dtype).max
    expected = colours @ [0.299, 0.587, 0.114]
    assert np.abs(upscaler.upscale(grey).picture - expected).max() < max(1, top / 20_000)


def test_a_file_is_not_replaced_unasked(upscaler, tmp_path):
    restored = upscaler(levels(3))
    target = tmp_path / "new" / "out.jpg"
    assert restored.save(target) == ()
    before = target.read_bytes()
    with pytest.raises(BadInputError, match="exists"):
        restored.save(target)
    assert target.read_bytes() == before
    restored.save(str(target), overwrite=True, quality=30)
    assert len(target.read_bytes()) < len(before)
    with pytest.raises(BadInputError, match="expected a file ending in png, jpg"):
        restored.save(tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()


def test_saving_says_what_the_format_cannot_keep(upscaler, tmp_path):
    restored = upscaler(levels(4, np.uint16))
    assert restored.save(tmp_path / "out.jpg") == (
        "JPEG holds 8 bits a channel: rounded to them from 16",
        "JPEG has no transparency: laid on white",
    )


def test_keywords_are_settings_and_words(upscaler):
    photo = levels(3)
    called = upscaler(photo, seed=3, steps=3, solver="dpmpp-2m", scale=2)
    plain = upscaler.upscale(photo, seed=3, settings=Settings(steps=3, solver="dpmpp-2m", scale=2))
    np.testing.assert_array_equal(called.picture, plain.picture)
    other = upscaler(photo, seed=3, settings=Settings(steps=3, scale=2), solver="dpmpp-2m")
    np.testing.assert_array_equal(other.picture, plain.picture)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"step": 3}, "no keyword 'step'.*did you mean steps?"),
        ({"promt": "a cat"}, "did you mean prompt?"),
        ({"color": "none"}, "did you mean colour?"),
        ({"solver": "dpm"}, "solver 'dpm'; expected euler, ab2 or dpmpp-2m"),
        ({"seed": -1}, "seed -1"),
        ({"seed": "x"}, "seed x"),
    ],
)
def test_what_is_mistyped_is_one_line(upscaler, keywords, words):
    with pytest.raises(BadInputError, match=words) as caught:
        upscaler(levels(3), **keywords)
    assert "\n" not in str(caught.value)


def test_it_says_what_it_remarked(upscaler, tmp_path):
    Image.fromarray(levels(3)).convert("CMYK").save(tmp_path / "a.jpg")
    restored = upscaler(tmp_path / "a.jpg")
    assert restored.warnings == ("is CMYK: becomes RGB",)
    assert restored.seed == 0
    assert sum(restored.seconds.values()) > 0


def test_without_a_bundle_it_is_the_model_in_the_box():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Upscaler(threads=1, use_cache=False) as upscaler:
            assert upscaler.card.name == "dit4sr-tiny"
            assert upscaler(levels(3), steps=1, scale=2).image.size == (SIZE[0] * 2, SIZE[1] * 2)
