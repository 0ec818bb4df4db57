"""What image encoders are shown of a picture, tile by tile."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from dit4sr.runtime.bundles.manifest import TensorSpec, View
from dit4sr.runtime.errors import Dit4srError, IncompatibleError
from dit4sr.runtime.image.photo import resized
from dit4sr.runtime.prompt.sight import Sight, crop_around
from dit4sr.runtime.sampling.tiles import Tile, Tiling

SIDE, FACTOR = 6, 8
VIEWS = (View(1.0, "near", "pooled"), View(2.0, "far"))


class Host:
    """A backend whose arrays are the host's."""

    device = "cpu"

    def upload(self, values):
        return values

    def download(self, values):
        return values


@dataclass
class Encoder:
    """Tells what it was shown: its tokens are the picture's rows, its vector the mean."""

    weight: float = 1.0
    inputs: tuple = (TensorSpec("image", "float32", ("images", 3, SIDE, SIDE)),)
    shown: list = field(default_factory=list)

    def context(self):
        return self

    def run(self, feeds):
        image = feeds["image"]
        self.shown.append(image)
        return {"tokens": self.weight * image[:, 0], "pooled": self.weight * image.mean((2, 3))}


def seen(picture, tiling, *encoders, views=VIEWS):
    names = {f"image_{place}": each for place, each in enumerate(encoders)}
    manifest = SimpleNamespace(
        image_encoders=tuple(names), views=views, model=SimpleNamespace(vae_factor=FACTOR)
    )

    @contextmanager
    def lend(name):
        yield names[name]

    return Sight(manifest, Host()).prompts(picture, tiling, lend)


def photo(height, width, dtype=np.uint8):
    most = np.iinfo(dtype).max + 1
    return np.random.default_rng(2).integers(0, most, (height * FACTOR, width * FACTOR, 3), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_tile_is_shown_with_its_surroundings(dtype):
    tiling, picture, encoder = Tiling.cover(12, 20, 8, 2), photo(12, 20, dtype), Encoder()
    prompts = seen(picture, tiling, encoder)
    assert prompts.keys() == set(tiling.tiles)
    for tile, prompt in prompts.items():
        near = picture[tile.top * 8 : (tile.top + 8) * 8, tile.left * 8 : (tile.left + 8) * 8]
        wanted = resized(np.ascontiguousarray(near), (SIDE, SIDE)) / (np.iinfo(dtype).max / 2) - 1
        np.testing.assert_allclose(prompt["near"], wanted[:, :, 0], atol=1e-6)
        np.testing.assert_allclose(prompt["pooled"], wanted.mean((0, 1)), atol=1e-6)
        assert prompt["far"].shape == (SIDE, SIDE)
        assert not np.array_equal(prompt["far"], prompt["near"])


def test_a_crop_is_looked_at_once():
    """Of a picture in one tile the surroundings are the tile."""
    tiling, encoder = Tiling.cover(8, 8, 8, 2), Encoder()
    [prompt] = seen(photo(8, 8), tiling, encoder).values()
    assert len(encoder.shown) == 1
    assert np.array_equal(prompt["far"], prompt["near"])


@pytest.mark.parametrize(
    ("tile", "reach", "wanted"),
    [
        (Tile(4, 4, 4, 4), 2.0, Tile(2, 2, 8, 8)),
        (Tile(0, 16, 4, 4), 2.0, Tile(0, 12, 8, 8)),  # moved, not cut
        (Tile(4, 4, 4, 4), 9.0, Tile(0, 0, 12, 20)),  # no more than there is
        (Tile(4, 4, 4, 4), 1.0, Tile(4, 4, 4, 4)),
    ],
)
def test_surroundings_stay_inside_the_picture(tile, reach, wanted):
    assert crop_around(tile, reach, Tiling(12, 20, 4, 4, 0)) == wanted


def test_several_encoders_stand_side_by_side():
    tiling = Tiling.cover(8, 8, 8, 2)
    [alone] = seen(photo(8, 8), tiling, Encoder()).values()
    [both] = seen(photo(8, 8), tiling, Encoder(), Encoder(2.0)).values()
    for name, values in alone.items():
        np.testing.assert_array_equal(both[name], np.concatenate([values, 2 * values], axis=-1))


def test_a_network_without_image_encoders_is_shown_nothing():
    assert seen(photo(8, 8), Tiling.cover(8, 8, 8, 2), views=()) == {}


@pytest.mark.parametrize(
    "shape", [("images", 3, "height", "width"), ("images", 3, 6, 8), ("images", 4, 6, 6), (1,), ()]
)
def test_an_encoder_of_no_square_is_refused(shape):
    encoder = Encoder(inputs=(TensorSpec("image", "float32", shape),))
    with pytest.raises(IncompatibleError, match="expected image"):
        seen(photo(8, 8), Tiling.cover(8, 8, 8, 2), encoder)


def test_encoders_that_do_not_fit_together_are_refused():
    class Longer(Encoder):
        def run(self, feeds):
            answer = super().run(feeds)
            return answer | {"tokens": answer["tokens"].repeat(2, axis=1)}

    with pytest.raises(IncompatibleError, match="do not fit together"):
        seen(photo(8, 8), Tiling.cover(8, 8, 8, 2), Encoder(), Longer())


def test_numbers_that_are_none_are_refused():
    with pytest.raises(Dit4srError, match="image_0"):
        seen(photo(8, 8), Tiling.cover(8, 8, 8, 2), Encoder(float("nan")))
