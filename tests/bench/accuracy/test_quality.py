"""PSNR and SSIM against values worked out by hand, and the gates."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from dit4sr.bench.accuracy.comparison import Gates, compared
from dit4sr.bench.accuracy.quality import MOST_PSNR, iqa, luma, max_error, psnr, ssim
from dit4sr.bench.accuracy.trajectory import step_errors
from dit4sr.bench.record import AccuracyRow
from dit4sr.runtime.errors import AccuracyError, BadInputError, MissingDependencyError


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
    assert psnr(grey(100), grey(110)) == pytest.approx(expected, abs=0.01)


def test_identical_pictures():
    assert (psnr(photo(), photo()), max_error(photo(), photo())) == (MOST_PSNR, 0)
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
        psnr(grey(0), grey(0, 12))
    with pytest.raises(BadInputError, match="11×11 at least"):
        ssim(grey(0, 8), grey(0, 8))


def test_the_worst_step_is_where_latents_differ_most():
    wanted = [np.ones((1, 2, 2, 2), np.float32) * i for i in (1, 2, 4)]
    found = [wanted[0], wanted[1] * 1.5, wanted[2] * 1.25]
    assert step_errors(found, wanted) == pytest.approx([0, 0.5, 0.25])


ROW = AccuracyRow("cat", "FP32", 40.0, 0.98, 7)


@pytest.mark.parametrize(
    ("gates", "says"),
    [
        (Gates(least_psnr=41), "PSNR 40.00"),
        (Gates(least_ssim=0.99), "SSIM"),
        (Gates(most_error=6), "off by 7"),
    ],
)
def test_gates_refuse(gates, says):
    with pytest.raises(AccuracyError, match=says) as refusal:
        gates.check([ROW])
    assert refusal.value.exit_code == 6


def test_gates_let_pass_and_judge_the_truth_only_where_there_is_nothing_better():
    poor = AccuracyRow("cat", "truth", 20.0, 0.5, 99)
    Gates(40.0, 0.98, 7).check([ROW, poor])
    with pytest.raises(AccuracyError, match="against truth"):
        Gates(least_psnr=40).check([poor])
    with pytest.raises(AccuracyError, match="nothing to judge"):
        Gates(least_psnr=40).check([])
    Gates().check([])


def test_a_row_holds_all_figures():
    row = compared("cat", "truth", photo(1), photo(2))
    assert row.psnr == pytest.approx(psnr(photo(1), photo(2)), abs=1e-3)
    assert row.ssim == pytest.approx(ssim(photo(1), photo(2)), abs=1e-4)
    assert row.max_error == max_error(photo(1), photo(2))


def test_metrics_of_pyiqa_need_pyiqa(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    assert iqa([], photo(), None) == {}
    with pytest.raises(MissingDependencyError, match="pyiqa"):
        iqa(["musiq"], photo(), None)


def test_metrics_of_pyiqa_get_what_they_compare(monkeypatch):
    """Against a stand-in that records what it is asked: PyIQA itself downloads weights."""
    asked: list[tuple[str, list[tuple[int, ...]], float]] = []

    def create_metric(name: str):
        def metric(*pictures):
            asked.append((name, [tuple(p.shape) for p in pictures], float(pictures[0].max())))
            return 0.5

        metric.metric_mode = "FR" if name == "lpips" else "NR"
        return metric

    monkeypatch.setitem(sys.modules, "pyiqa", types.SimpleNamespace(create_metric=create_metric))
    scores = iqa(["maniqa", "lpips"], grey(255), grey(0))
    assert scores == {"maniqa": 0.5, "lpips": 0.5}
    assert asked == [("maniqa-pipal", [(1, 3, 24, 24)], 1.0), ("lpips", [(1, 3, 24, 24)] * 2, 1.0)]
    assert iqa(["lpips"], grey(255), None) == {}
