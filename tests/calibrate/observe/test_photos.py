"""Photos: cut to a tile with their truths, and held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dit4sr.calibrate.observe.photos import folder_cases, split
from dit4sr.runtime.errors import BadInputError


def test_photos_are_cut_to_a_tile_and_their_truths_with_them(half_bundle, tmp_path):
    side = half_bundle.card.training_tile * half_bundle.card.vae_factor // 4
    photo = np.random.default_rng(0).integers(0, 255, (side + 5, 2 * side, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "cat.png")
    truth = Image.fromarray(photo).resize((8 * side, 4 * (side + 5)), Image.Resampling.NEAREST)
    truth.save(tmp_path / "cat-truth.png")
    [case] = folder_cases(tmp_path, half_bundle.card)
    assert case.photo.shape == (side, side, 3)
    assert np.array_equal(case.photo, photo[2 : 2 + side, side // 2 : side // 2 + side])
    assert np.array_equal(case.truth[::4, ::4], case.photo)
    truth.crop((0, 0, 9, 9)).save(tmp_path / "cat-truth.png")
    with pytest.raises(BadInputError, match=r"the truth of cat\.png has 9×9 pixels"):
        folder_cases(tmp_path, half_bundle.card)
    for folder, message in ((tmp_path / "none", "no folder"), (tmp_path / "empty", "no p")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(BadInputError, match=message):
            folder_cases(folder, half_bundle.card)


def test_photos_of_16_bits_are_taken_in_8(half_bundle, tmp_path):
    side = half_bundle.card.training_tile * half_bundle.card.vae_factor // 4
    Image.fromarray(np.full((side, side), 257 * 77, dtype=np.uint16)).save(tmp_path / "deep.png")
    [case] = folder_cases(tmp_path, half_bundle.card)
    assert case.photo.dtype == np.uint8
    assert np.unique(case.photo).tolist() == [77]


def test_photos_to_evaluate_on_are_others_wherever_there_are_others(half_bundle, photos):
    cases = folder_cases(photos, half_bundle.card) * 3
    cases = [replace(case, name=str(place)) for place, case in enumerate(cases)]
    for count, held_out in ((2, "1"), (3, "2"), (4, "3"), (6, "3")):
        photos, evaluated = split(cases[:count])
        assert "".join(case.name for case in evaluated) == held_out
        assert len(photos) + len(evaluated) == count
    assert split(cases[:1]) == (cases[:1], cases[:1])
