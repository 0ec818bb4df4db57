"""The VAE in tiles, and a large picture in little memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.photos import make_photo
from support.runtime_system import CARD, FACTOR

from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime, host_array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import AccuracyError, IncompatibleError
from dit4sr.runtime.image.vae import PictureCoder, posterior, scaled
from dit4sr.runtime.sampling.tiles import Tiling

SIDES = [(16, 16), (17, 40), (33, 21), (8, 64)]


@pytest.fixture(scope="module")
def opened(toy_bundle):
    backend = OnnxRuntime("cpu", threads=1)
    bundle = Bundle.open(toy_bundle)
    engines = {name: backend.open(bundle, name).context() for name in ("vae_encoder", "vae_decoder")}
    return PictureCoder(backend, CARD, lambda: None), engines


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_tiles_agree_with_the_whole_where_they_see_enough(opened, height, width):
    """The small VAE sees one latent beyond its own, so blending is all that can go wrong."""
    coder, engines = opened
    picture = make_photo(height * FACTOR, width * FACTOR)
    whole, tiled = Tiling(height, width, height, width, 0), Tiling.cover(height, width, 12, 6)
    moments = [coder.encode(engines["vae_encoder"], picture, tiling) for tiling in (whole, tiled)]
    np.testing.assert_allclose(moments[0], moments[1], atol=0.02)
    latent = np.random.default_rng(0).normal(size=(CARD.latent_channels, height, width)).astype(np.float32)
    decoded = [coder.decode(engines["vae_decoder"], latent, tiling).astype(int) for tiling in (whole, tiled)]
    assert decoded[0].shape == (height * FACTOR, width * FACTOR, 3)
    assert np.abs(decoded[0] - decoded[1]).max() <= 2


def test_posterior_and_scale_are_those_of_diffusers():
    moments = np.stack([np.full((2, 2), 0.5), np.full((2, 2), -100.0)]).astype(np.float32)
    noise = np.ones((2, 1, 2, 2), dtype=np.float32)
    samples = posterior(moments, noise)
    assert samples.shape == (2, 1, 2, 2)
    np.testing.assert_allclose(samples, 0.5 + np.exp(-15), rtol=1e-6)
    np.testing.assert_allclose(posterior(moments, None), moments[None, :1])
    np.testing.assert_allclose(scaled(samples, CARD), (samples - CARD.shift) * CARD.scaling, rtol=1e-6)


def test_a_4096_picture_stays_under_its_bound(toy_bundle):
    """16.8 MP, in a process of its own; the bound is on what the picture adds to a small one's peak."""
    script = """
import resource, sys, numpy as np
from dit4sr.runtime import Settings, Upscaler
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def photo(side): return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
settings = Settings(steps=1, tile=256, tile_batch=4)
with Upscaler(sys.argv[1], threads=2, use_cache=False) as upscaler:
    upscaler.upscale(photo(256), settings=settings)
    before = peak()
    assert upscaler.upscale(photo(1024), settings=settings).picture.shape == (4096, 4096, 3)
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(toy_bundle)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 600  # 36 bytes a pixel, whatever the tile


class Saying:
    """A half of the VAE that says the same of every tile, but for what is said of one."""

    def __init__(self, name, shape, value, number=None, tile=0):
        self.name, self.shape, self.value, self.number, self.tile = name, shape, value, number, tile

    def run(self, inputs):
        [array] = inputs.values()
        values = np.broadcast_to(np.float32(self.value), self.shape(array.shape)).copy()
        if self.number is not None and self.tile == 0:
            values[0, -1, -1, -1] = self.number
        self.tile -= 1
        return {self.name: host_array(values)}


CODER = PictureCoder(OnnxRuntime("cpu"), CARD, lambda: None)
LATENT = np.random.default_rng(0).normal(size=(CARD.latent_channels, 12, 20)).astype(np.float32)


def decoded(coder, value, **options):
    def shape(latent):
        return 1, 3, latent[2] * FACTOR, latent[3] * FACTOR

    return coder.decode(Saying("image", shape, value, **options), LATENT, Tiling.cover(12, 20, 8, 3))


def encoded(coder, value, **options):
    def shape(image):
        return 1, 2 * CARD.latent_channels, image[2] // FACTOR, image[3] // FACTOR

    photo = make_photo(12 * FACTOR, 20 * FACTOR)
    return coder.encode(Saying("moments", shape, value, **options), photo, Tiling.cover(12, 20, 8, 3))


@pytest.mark.parametrize("tile", [0, 3])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("half", "name"), [(decoded, "vae_decoder"), (encoded, "vae_encoder")])
def test_one_number_that_is_none_names_its_component(half, name, number, tile):
    for coder in (CODER, replace(CODER, is_flat=True)):
        with pytest.raises(AccuracyError, match=f"what the {name} has made is not finite"):
            half(coder, 0.5, number=number, tile=tile)


@pytest.mark.parametrize(("half", "name"), [(decoded, "vae_decoder"), (encoded, "vae_encoder")])
def test_a_constant_answer_to_a_varied_photo_names_its_component(half, name):
    with pytest.raises(AccuracyError, match=rf"what the {name} has made is constant \(0.5\)"):
        half(CODER, 0.5)
    if name == "vae_decoder":
        with pytest.raises(AccuracyError, match="is constant in each channel"):
            half(CODER, np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1))


def test_constant_is_not_nearly_constant():
    assert (decoded(CODER, 0.5, number=np.nextafter(np.float32(0.5), np.float32(1)), tile=2) == 191).all()


def test_a_photo_of_one_colour_may_stay_one():
    assert (decoded(replace(CODER, is_flat=True), 0.5) == 191).all()


def test_an_answer_of_another_size_than_the_card_says_is_refused():
    with pytest.raises(IncompatibleError, match="vae_decoder makes image as float32 of 1×3×1×1"):
        CODER.decode(Saying("image", lambda _: (1, 3, 1, 1), 0.5), LATENT, Tiling.cover(12, 20, 8, 3))
