"""Sizes and resizes of the released pipeline, with its odd sizes mended."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.geometry import Geometry


def geometry_of(width: int, height: int, scale: float = 4, most: int = 1 << 40) -> Geometry:
    return Geometry.of((width, height), scale=scale, tile=512, factor=8, most_pixels=most)


@pytest.mark.parametrize("side", range(1, 200))
def test_the_shortest_side_is_always_a_whole_training_tile(side):
    """49, 98, 103 and 107 are where the released pipeline arrives at 63 latents and crashes."""
    for width, height in ((side, side), (side, side + 7), (side + 7, side)):
        geometry = geometry_of(width, height)
        assert min(geometry.work) >= 512
        assert geometry.work[0] % 8 == geometry.work[1] % 8 == 0
        assert geometry.final == (width * 4, height * 4)


def test_sizes_of_the_test_sets():
    assert geometry_of(128, 128).work == (512, 512)
    assert geometry_of(256, 256).work == (1024, 1024)
    assert geometry_of(130, 128).work == (520, 512)
    assert geometry_of(64, 96).lifted == (128, 192)


@pytest.mark.parametrize("size", [(128, 128), (64, 100), (131, 150), (200, 133)])
def test_enlarging_is_the_released_sequence_of_resizes(size):
    photo = make_photo(size[1], size[0])
    image = Image.fromarray(photo)
    if min(size) < 128:
        ratio = 128 / min(size)
        image = image.resize((int(size[0] * ratio), int(size[1] * ratio)), Image.Resampling.BICUBIC)
    image = image.resize((image.width * 4, image.height * 4), Image.Resampling.BICUBIC)
    image = image.resize((image.width // 8 * 8, image.height // 8 * 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(geometry_of(*size).enlarge(photo), np.asarray(image))


@pytest.mark.parametrize("scale", [0.25, 1, 1.5, 3, 5, 16])
def test_any_scale_reaches_the_tile_and_the_final_size(scale):
    geometry = geometry_of(90, 77, scale)
    assert min(geometry.work) >= 512
    assert geometry.final == (round(90 * scale), round(77 * scale))


def test_what_would_fill_the_memory_is_refused_before_it_does():
    with pytest.raises(BadInputError, match=r"1×5000 would be worked on as 512×2560000 pixels"):
        geometry_of(1, 5000, most=8192 * 8192)


@pytest.mark.parametrize(
    ("source", "scale", "largest"),
    [
        ((1, 60_000), 4, "512×30720000"),
        ((1, 60_000), 1, "512×30720000"),
        ((1, 60_000), 0.5, "1024×61440000"),
        ((1, 1), 1 / 17, "8704×8704"),
        ((4000, 3000), 1 / 16, "10922×8192"),
    ],
)
def test_no_size_on_the_way_is_larger_than_allowed(source, scale, largest):
    """Where the result is small, it is the lift to the network's least size that is large."""
    with pytest.raises(BadInputError, match=f"worked on as {largest} pixels; expected 67,108,864 at most"):
        geometry_of(*source, scale, most=8192 * 8192)
