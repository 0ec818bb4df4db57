"""The subject: one bundle on one backend, its middle tile, and a run that is kept whole."""

from __future__ import annotations

import numpy as np
import pytest
from support.bench_subject import SIDE, TILE, toy_subject
from support.runtime_system import write_toy_bundle

from dit4sr.bench import subject
from dit4sr.bench.cli import bench_config, command
from dit4sr.bench.measure import cold_start
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
        enlarged = geometry.enlarge(one.picture.pixels)
        depth = one.settings.colour.depth(enlarged)
        coder = PictureCoder(one.backend, one.bundle.card, lambda: None)
        decoder = one.backend.open(one.bundle, "vae_decoder").context()
        decoded = coder.decode(decoder, restoration.latents[-1][0], Tiling.cover(TILE, TILE, TILE, 0), depth)
    coloured = one.settings.colour.apply(decoded, enlarged)
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


@pytest.mark.parametrize("trusts", [True, False])
def test_a_word_for_the_bundles_engines_reaches_every_process(tmp_path, trusts):
    """The command's option, the bundle that is measured, and the command line of a cold start."""
    typed = command.make_context("dit4sr-bench", ["--trust-engines"] if trusts else []).params
    path = write_toy_bundle(tmp_path / "toy")
    config = bench_config(path, typed)
    chosen = {"backend": "onnxruntime", "device": "cpu", "threads": 1, "trust_engines": config.trust_engines}
    with subject.Subject(path, drawn_picture(8, 8), Settings(steps=1), **chosen) as one:
        assert one.upscaler.bundle.trusts_engines is trusts
        line = cold_start.ours(one, threads=1).arguments(tmp_path / "in.png", tmp_path / "out.png")
    assert ("--trust-engines" in line) is trusts


def test_a_run_that_was_begun_anew_with_smaller_tiles_is_no_record(tmp_path, monkeypatch):
    """Its latents would be those of other tiles, after some of the run that was broken off."""

    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(WholeSampler, "sample", exhausted)
    with toy_subject(tmp_path) as one, pytest.raises(OutOfMemoryError, match="memory ran out with tiles"):
        one.restore_recorded(one.picture)
