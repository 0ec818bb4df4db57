"""Rows of the accuracy table: which pictures are compared with which, and that a row is one run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.bench_subject import PIXELS, SIDE, TILE, toy_picture, toy_subject

from dit4sr.bench.accuracy.rows import BICUBIC, accuracies, against_reference, compared
from dit4sr.bench.record import OURS
from dit4sr.runtime.backends.tap import Recording, TappedBackend
from dit4sr.runtime.metrics import max_error, psnr_y, relative_errors, ssim


def test_engines_of_one_size_are_compared_in_the_middle_of_larger_pictures(tmp_path):
    notes: list[str] = []
    pictures = [toy_picture(SIDE), toy_picture(2 * SIDE), toy_picture(SIDE // 2)]
    with toy_subject(tmp_path, {"h": TILE, "w": TILE, "H": PIXELS, "W": PIXELS}) as fixed:
        rows = accuracies(fixed, pictures, None, (), notes)
        middle = fixed.restore(picture=pictures[1].fitted(SIDE, SIDE))
    assert [row.picture for row in rows[::2]] == [f"drawn-{SIDE}", f"drawn-{2 * SIDE}"]
    assert [row.made_by for row in rows] == [OURS, BICUBIC] * 2
    expected = pictures[1].truth[SIDE * 2 : SIDE * 6, SIDE * 2 : SIDE * 6]
    assert rows[2].max_error == np.abs(middle.astype(int) - expected).max()
    assert any("middles were compared" in note for note in notes)
    assert any(f"drawn-{SIDE // 2} against its truth: smaller" in note for note in notes)


def test_engines_of_any_size_are_compared_in_whole_pictures(tmp_path):
    notes: list[str] = []
    large = toy_picture(2 * SIDE)
    with toy_subject(tmp_path) as dynamic:
        row, bicubic = accuracies(dynamic, [large], None, (), notes)
        whole = dynamic.restore(picture=large)
    assert row.max_error == np.abs(whole.astype(int) - large.truth).max()
    assert not any("middles" in note for note in notes)
    enlarged = Image.fromarray(large.pixels).resize((8 * SIDE, 8 * SIDE), Image.Resampling.BICUBIC)
    assert bicubic == replace(
        compared(large.name, "truth", np.asarray(enlarged), large.truth), made_by=BICUBIC
    )


def photo(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_a_row_holds_all_figures():
    row = compared("cat", "truth", photo(1), photo(2))
    assert row.psnr == pytest.approx(psnr_y(photo(1), photo(2)), abs=1e-3)
    assert row.ssim == pytest.approx(ssim(photo(1), photo(2)), abs=1e-4)
    assert row.max_error == max_error(photo(1), photo(2))


def test_an_accuracy_row_is_one_run_of_each_side(tmp_path):
    with toy_subject(tmp_path) as one, toy_subject(tmp_path, seed=1) as other:
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
    large = toy_picture(2 * SIDE)
    with toy_subject(tmp_path, given=large) as one, toy_subject(tmp_path, given=large, seed=1) as other:
        assert one.tiles > 1
        row = against_reference(one, other)
        middle = large.fitted(SIDE, SIDE)
        pictures = [side.restore(picture=middle) for side in (one, other)]
        latents = [side.restore_recorded(middle).latents for side in (one, other)]
    assert row.picture == f"drawn-{2 * SIDE}, middle tile"
    assert row.max_error == max_error(*pictures) > 0
    assert row.worst_step_error == relative_errors(*latents).max()
