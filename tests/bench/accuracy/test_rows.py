"""Rows of the accuracy table: which pictures are compared with which, and that a row is one run."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.runtime_system import CARD, toy_weights, write_toy_bundle

from dit4sr.bench import subject as bench_subject
from dit4sr.bench.accuracy.rows import accuracies, against_reference, compared
from dit4sr.bench.baselines.torch_start import TorchStart
from dit4sr.bench.pictures import InputPicture, drawn_picture
from dit4sr.bench.subject import Subject
from dit4sr.runtime import Settings
from dit4sr.runtime.backends.tap import Recording, TappedBackend
from dit4sr.runtime.image.vae import PictureCoder
from dit4sr.runtime.metrics import max_error, psnr_y, relative_errors, ssim
from dit4sr.runtime.sampling.tiles import Tiling

TILE, PIXELS = CARD.training_tile, CARD.training_tile * CARD.vae_factor
SIDE = PIXELS // 4
"""Of a low-resolution picture that makes one tile."""


def picture(side: int) -> InputPicture:
    truth = drawn_picture(4 * side, 4 * side).pixels
    return InputPicture(f"drawn-{side}", drawn_picture(side, side).pixels, truth)


def subject(folder, fixed=None, given=None, seed=0) -> Subject:
    return Subject(
        write_toy_bundle(folder / f"toy{seed}", toy_weights(seed), fixed=fixed),
        given or picture(SIDE),
        Settings(steps=2),
        backend="onnxruntime",
        device="cpu",
        threads=1,
    )


def test_engines_of_one_size_are_compared_in_the_middle_of_larger_pictures(tmp_path):
    notes: list[str] = []
    pictures = [picture(SIDE), picture(2 * SIDE), picture(SIDE // 2)]
    with subject(tmp_path, {"h": TILE, "w": TILE, "H": PIXELS, "W": PIXELS}) as fixed:
        rows = accuracies(fixed, pictures, None, (), notes)
        middle = fixed.restore(picture=pictures[1].fitted(SIDE, SIDE))
    assert [row.picture for row in rows] == [f"drawn-{SIDE}", f"drawn-{2 * SIDE}"]
    expected = pictures[1].truth[SIDE * 2 : SIDE * 6, SIDE * 2 : SIDE * 6]
    assert rows[1].max_error == np.abs(middle.astype(int) - expected).max()
    assert any("middles were compared" in note for note in notes)
    assert any(f"drawn-{SIDE // 2} against its truth: smaller" in note for note in notes)


def test_engines_of_any_size_are_compared_in_whole_pictures(tmp_path):
    notes: list[str] = []
    large = picture(2 * SIDE)
    with subject(tmp_path) as dynamic:
        [row] = accuracies(dynamic, [large], None, (), notes)
        whole = dynamic.restore(picture=large)
    assert row.max_error == np.abs(whole.astype(int) - large.truth).max()
    assert not any("middles" in note for note in notes)


def photo(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_a_row_holds_all_figures():
    row = compared("cat", "truth", photo(1), photo(2))
    assert row.psnr == pytest.approx(psnr_y(photo(1), photo(2)), abs=1e-3)
    assert row.ssim == pytest.approx(ssim(photo(1), photo(2)), abs=1e-4)
    assert row.max_error == max_error(photo(1), photo(2))


def test_a_restoration_s_last_latent_is_the_one_its_picture_was_decoded_from(tmp_path):
    """The posterior is sampled: with its mean, or another draw, the latents would be other ones."""
    with subject(tmp_path) as one:
        restoration = one.restore_recorded(one.picture)
        np.testing.assert_array_equal(restoration.picture, one.restore())
        assert len(restoration.latents) == 2
        geometry = one.upscaler.geometry(SIDE, SIDE, one.settings)
        coder = PictureCoder(one.backend, one.bundle.card, lambda: None)
        decoder = one.backend.open(one.bundle, "vae_decoder").context()
        decoded = coder.decode(decoder, restoration.latents[-1][0], Tiling.cover(TILE, TILE, TILE, 0))
        coloured = one.settings.colour.apply(decoded, geometry.enlarge(one.picture.pixels))
    np.testing.assert_array_equal(geometry.finish(coloured), restoration.picture)


def test_an_accuracy_row_is_one_run_of_each_side(tmp_path):
    with subject(tmp_path) as one, subject(tmp_path, seed=1) as other:
        runs = [Recording("next_latent"), Recording("next_latent")]
        for side, recording in zip((one, other), runs, strict=True):
            side.backend = TappedBackend(side.backend, {"step": recording})
        row = against_reference(one, other)
        pictures = [side.restore() for side in (one, other)]
    errors = relative_errors(runs[0].runs, runs[1].runs)
    assert len(errors) == one.settings.steps, "every step ran once"
    assert (row.worst_step, row.worst_step_error) == (errors.argmax() + 1, errors.max())
    assert row.max_error == max_error(*pictures) > 0
    assert row.picture == f"drawn-{SIDE}"


def test_of_a_picture_of_several_tiles_the_row_is_about_the_middle_one_and_says_so(tmp_path):
    large = picture(2 * SIDE)
    with subject(tmp_path, given=large) as one, subject(tmp_path, given=large, seed=1) as other:
        assert one.tiles > 1
        row = against_reference(one, other)
        middle = large.fitted(SIDE, SIDE)
        pictures = [side.restore(picture=middle) for side in (one, other)]
        latents = [side.restore_recorded(middle).latents for side in (one, other)]
    assert row.picture == f"drawn-{2 * SIDE}, middle tile"
    assert row.max_error == max_error(*pictures) > 0
    assert row.worst_step_error == relative_errors(*latents).max()


@pytest.mark.parametrize("scale", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("size", [(40, 40), (16, 50), (50, 3)])
def test_a_middle_tile_is_one_tile_at_every_scale_and_shape(tmp_path, scale, size):
    given = drawn_picture(*size)
    with subject(tmp_path, given=given) as one:
        one.settings = Settings(steps=2, scale=scale)
        assert one.tiles > 1
        middle = one.middle_tile()
        assert max(middle.size) <= max(given.size)
        assert len(one.restore_recorded(middle).latents) == 2


def test_a_subject_opens_one_bundle_on_one_backend(tmp_path, monkeypatch):
    opened = []
    choose = bench_subject.choose
    monkeypatch.setattr(bench_subject, "choose", lambda *a, **k: opened.append(a) or choose(*a, **k))
    with subject(tmp_path) as one:
        assert one.upscaler._backend is one.backend
        assert one.upscaler.bundle is one.bundle
    assert len(opened) == 1


@pytest.mark.parametrize("is_origin", [True, False])
def test_torchs_picture_is_the_fp32_result_of_the_same_weights_only(tmp_path, is_origin):
    weights = tmp_path / "checkpoint" / "transformer" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    for name, value in (("dit4sr", 10), ("eager", 12)):
        Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    known = hashlib.sha256(b"weights" if is_origin else b"others").hexdigest()
    provenance = SimpleNamespace(checkpoint={"weights.safetensors": known})
    bundle = SimpleNamespace(manifest=SimpleNamespace(provenance=provenance))
    notes: list[str] = []
    start = TorchStart(
        SimpleNamespace(checkpoint=tmp_path / "checkpoint", metrics=()),
        SimpleNamespace(bundle=bundle, picture=picture(4)),
        tmp_path,
        notes,
    )
    rows = start.compared_pictures()
    assert [(row.against, row.max_error) for row in rows] == ([("FP32, torch", 2)] if is_origin else [])
    assert any("holds other weights" in note for note in notes) is not is_origin
