"""PSNR, SSIM and errors against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.metrics import MOST_PSNR, luma, max_error, psnr_rgb, psnr_y, relative_errors, ssim


def grey(value: int, side: int = 24) -> np.ndarray:
    return np.full((side, side, 3), value, dtype=np.uint8)


def photo(seed: int = 0, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_luma_ends_where_video_does():
    assert luma(grey(0))[0, 0] == pytest.approx(16)
    assert luma(grey(255))[0, 0] == pytest.approx(235, abs=0.01)


def test_psnr_of_a_known_difference():
    """Ten levels of grey are 10 · 219 / 255 of luma."""
    expected = 20 * np.log10(255 / (10 * 219 / 255))
    assert psnr_y(grey(100), grey(110)) == pytest.approx(expected, abs=0.01)


def test_identical_pictures():
    assert (psnr_y(photo(), photo()), max_error(photo(), photo())) == (MOST_PSNR, 0)
    assert ssim(photo(), photo()) == pytest.approx(1)


def test_ssim_of_two_flat_pictures_is_its_first_factor():
    x, y = 16 + 100 * 218.999 / 255, 16 + 150 * 218.999 / 255
    c1 = (0.01 * 255) ** 2
    assert ssim(grey(100), grey(150)) == pytest.approx((2 * x * y + c1) / (x * x + y * y + c1), abs=1e-4)


def test_ssim_is_the_formula_at_every_place():
    """Against the definition, written out with a two-dimensional window and loops."""
    found, wanted = photo(1, 14), photo(2, 14)
    places = np.arange(-5.0, 6.0)
    window = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / 4.5)
    window /= window.sum()
    x, y = luma(found), luma(wanted)
    values = []
    for top in range(4):
        for left in range(4):
            a, b = (plane[top : top + 11, left : left + 11] for plane in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            shared = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 6.5025, 58.5225
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * shared + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    assert ssim(found, wanted) == pytest.approx(np.mean(values), rel=1e-9)


def test_the_largest_difference_does_not_wrap_around():
    assert max_error(grey(0), grey(255)) == 255


def test_sizes_must_agree():
    with pytest.raises(BadInputError, match="24×24 and 12×12"):
        psnr_y(grey(0), grey(0, 12))
    with pytest.raises(BadInputError, match="11×11 at least"):
        ssim(grey(0, 8), grey(0, 8))


def test_a_relative_error_is_the_difference_in_units_of_what_was_wanted():
    wanted = [np.ones((1, 2, 2, 2), np.float32) * i for i in (1, 2, 4)]
    found = [wanted[0], wanted[1] * 1.5, wanted[2] * 1.25]
    assert relative_errors(found, wanted) == pytest.approx([0, 0.5, 0.25])


def test_psnr_rgb_takes_every_channel_alike_and_psnr_y_weighs_them():
    """Thirty levels of blue are a third of the RGB error's square and a tenth of the luma."""
    blue = grey(100)
    blue[..., 2] += 30
    assert psnr_rgb(blue, grey(100)) == pytest.approx(20 * np.log10(255 / (30 / np.sqrt(3))))
    assert psnr_y(blue, grey(100)) == pytest.approx(20 * np.log10(255 / (30 * 24.966 / 255)))


def test_psnr_rgb_has_the_same_bounds_and_refusals():
    assert psnr_rgb(photo(), photo()) == MOST_PSNR
    assert psnr_rgb(grey(0), grey(255)) == 0
    with pytest.raises(BadInputError, match="24×24 and 12×12"):
        psnr_rgb(grey(0), grey(0, 12))


def test_a_relative_error_of_halves_is_computed_where_no_square_overflows():
    wanted = np.full(1000, 6e4, np.float16)
    assert relative_errors([wanted / 2], [wanted]) == pytest.approx(0.5, rel=1e-3)
