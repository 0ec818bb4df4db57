"""Pictures through memory: every form that C can describe is Python's picture of the same array."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.native.abi import WAITS, Card, Estimate, FailedError, Pixels
from support.photos import make_photo
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import TileSizes

FORMS = {
    "grey": (1, np.uint8),
    "grey with transparency": (2, np.uint8),
    "RGB": (3, np.uint8),
    "RGBA": (4, np.uint8),
    "grey of 16 bits": (1, np.uint16),
    "RGB of 16 bits": (3, np.uint16),
    "RGBA of 16 bits": (4, np.uint16),
}


def levels(channels: int, kind: type, height: int = 12, width: int = 10) -> np.ndarray:
    photo = make_photo(height, width)
    planes = np.dstack([photo, photo[..., :1]])[..., [[0], [0, 3], [0, 1, 2], [0, 1, 2, 3]][channels - 1]]
    wide = planes.astype(kind) * (257 if kind is np.uint16 else 1) + (7 if kind is np.uint16 else 0)
    return wide[..., 0] if channels == 1 else wide


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_pythons_picture(library, opened, upscaler, form):
    picture = np.ascontiguousarray(levels(*FORMS[form]))
    restored = library.upscale(opened, picture, seed=3)
    np.testing.assert_array_equal(restored, upscaler(picture, seed=3).picture)
    assert restored.dtype == picture.dtype


@pytest.mark.parametrize("form", ["grey", "RGB", "RGBA of 16 bits"])
def test_rows_may_lie_apart_on_both_sides(library, opened, form):
    """Between the rows of a larger picture nothing is read, and nothing written."""
    channels, kind = FORMS[form]
    picture = np.ascontiguousarray(levels(channels, kind))
    expected = library.upscale(opened, picture)
    size = channels * picture.itemsize
    source = np.full((12, 10 * size + 6), 0xEE, np.uint8)
    source[:, : 10 * size] = picture.reshape(12, -1).view(np.uint8)
    target = np.full((48, 40 * size + 10), 0xDD, np.uint8)
    given = Pixels.of(picture)
    given.data, given.stride = source.ctypes.data, source.strides[0]
    output = Pixels(
        data=target.ctypes.data,
        width=40,
        height=48,
        channels=channels,
        bits=8 * picture.itemsize,
        stride=target.strides[0],
    )
    library.call("upscale", opened, given, None, output)
    written = target[:, : 40 * size].copy().view(picture.dtype).reshape(expected.shape)
    np.testing.assert_array_equal(written, expected)
    assert (target[:, 40 * size :] == 0xDD).all()
    assert output.owner is None


def test_a_request_is_pythons_settings(library, opened, upscaler, photo):
    restored = library.upscale(
        opened,
        photo,
        seed=2**64 - 1,
        steps=3,
        scale=2.5,
        guidance=2.0,
        solver=b"dpmpp-2m",
        tile=24,
        more=json.dumps({"tile_batch": 2, "colour": "wavelet", "overlap": 8}).encode(),
    )
    settings = Settings(
        steps=3,
        scale=2.5,
        guidance=2.0,
        solver="dpmpp-2m",
        tile=24,
        tile_batch=2,
        colour="wavelet",
        overlap=8,
    )
    expected = upscaler(photo, seed=2**64 - 1, settings=settings).picture
    np.testing.assert_array_equal(restored, expected)
    assert library.output_size(opened, 10, 12, scale=2.5) == (25, 30)


def test_a_preset_is_pythons(library, opened, tmp_path, photo):
    preset = Preset("fast", 6, "ab2", 2.5, "gguhhu")
    bundle = write_toy_bundle(tmp_path / "measured", card=replace(CARD, presets=(preset,)))
    with Upscaler(bundle, threads=1, use_cache=False) as upscaler:
        expected = upscaler(photo, preset="fast").picture
        assert (expected != upscaler(photo).picture).any()
    measured = library.open(bundle, threads=1, flags=4)
    np.testing.assert_array_equal(library.upscale(measured, photo, preset=b"fast"), expected)
    library.call("close", measured, WAITS)
    with pytest.raises(FailedError, match="no preset 'fast': this bundle has none"):
        library.upscale(opened, photo, preset=b"fast")


def test_the_model_in_the_box_needs_no_name(library):
    upscaler = library.open(None, flags=4)
    card = Card()
    library.call("get_card", upscaler, card)
    with Upscaler(use_cache=False) as known:
        assert card.digest.decode() == known.digest
        assert card.name.decode() == known.card.name
        assert card.backend.decode() == known.backend
        assert card.tile == known.card.training_tile * known.card.vae_factor
        assert (card.default_steps, card.default_guidance) == (
            known.card.default_steps,
            known.card.default_guidance,
        )
        assert (card.reads_prompts, card.lends_tensors) == (known.reads_words, 0)
    library.call("close", upscaler, 0)


def test_an_estimate_is_pythons(library, opened, upscaler):
    estimate, known = Estimate(), upscaler.geometry(10, 12, Settings())
    library.call("get_estimate", opened, None, 10, 12, estimate)
    plan = Plan.of(known, Settings(), upscaler.card, TileSizes.of(Settings(), upscaler.card))
    expected = upscaler.estimator(threads=1).of(plan, known)
    assert estimate.is_measured == expected.is_measured
    assert (estimate.seconds < 0) == (expected.total_seconds is None)
    assert abs(estimate.memory_bytes - expected.memory_bytes) < 64 << 20
