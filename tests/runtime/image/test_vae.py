"""The VAE in tiles, and a large picture in little memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.photos import make_photo
from support.runtime_system import CARD, FACTOR

from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.bundles.bundle import Bundle
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
