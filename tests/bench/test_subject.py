"""The subject: one bundle on one backend, its middle tile, and a run that is kept whole."""

from __future__ import annotations

import numpy as np
import pytest
from support.bench_subject import SIDE, TILE, toy_subject

from dit4sr.bench import subject
from dit4sr.bench.pictures import drawn_picture
from dit4sr.runtime import Settings
from dit4sr.runtime.errors import OutOfMemoryError
from dit4sr.runtime.image.vae import PictureCoder
from dit4sr.runtime.sampling.sampler import WholeSampler
from dit4sr.runtime.sampling.tiles import Tiling


def test_the_last_latent_of_a_restoration_is_the_one_its_picture_was_decoded_from(tmp_path):
    """The posterior is sampled: with its mean, or another draw, the latents would be other ones."""
    with toy_subject(tmp_path) as one:
        restoration = one.restore_recorded(one.picture)
        np.testing.assert_array_equal(restoration.picture, one.restore())
        assert len(restoration.latents) == 2
        geometry = one.upscaler.geometry(SIDE, SIDE, one.settings)
        coder = PictureCoder(one.backend, one.bundle.card, lambda: None)
        decoder = one.backend.open(one.bundle, "vae_decoder").context()
        decoded = coder.decode(decoder, restoration.latents[-1][0], Tiling.cover(TILE, TILE, TILE, 0))
        coloured = one.settings.colour.apply(decoded, geometry.enlarge(one.picture.pixels))
    np.testing.assert_array_equal(geometry.finish(coloured), restoration.picture)


@pytest.mark.parametrize("scale", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("size", [(40, 40), (16, 50), (50, 3)])
def test_a_middle_tile_is_one_tile_at_every_scale_and_shape(tmp_path, scale, size):
    given = drawn_picture(*size)
    with toy_subject(tmp_path, given=given) as one:
        one.settings = Settings(steps=2, scale=scale)
        assert one.tiles > 1
        middle = one.middle_tile()
        assert max(middle.size) <= max(given.size)
        assert len(one.restore_recorded(middle).latents) == 2


def test_a_subject_opens_one_bundle_on_one_backend(tmp_path, monkeypatch):
    opened = []
    choose = subject.choose
    monkeypatch.setattr(subject, "choose", lambda *a, **k: opened.append(a) or choose(*a, **k))
    with toy_subject(tmp_path) as one:
        assert one.upscaler._backend is one.backend
        assert one.upscaler.bundle is one.bundle
    assert len(opened) == 1


def test_a_run_that_was_begun_anew_with_smaller_tiles_is_no_record(tmp_path, monkeypatch):
    """Its latents would be those of other tiles, after some of the run that was broken off."""

    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(WholeSampler, "sample", exhausted)
    with toy_subject(tmp_path) as one, pytest.raises(OutOfMemoryError, match="memory ran out with tiles"):
        one.restore_recorded(one.picture)
