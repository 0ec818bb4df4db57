"""Gates: which pictures they refuse, and by which rows they go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dit4sr.bench.accuracy.gates import Gates
from dit4sr.bench.record import AccuracyRow
from dit4sr.runtime.errors import AccuracyError

ROW = AccuracyRow("cat", "FP32", 40.0, 0.98, 7)


@pytest.mark.parametrize(
    ("gates", "says"),
    [
        (Gates(min_psnr_y=41), r"PSNR \(Y\) 40.00"),
        (Gates(min_ssim=0.99), "SSIM"),
        (Gates(max_error=6), "off by 7"),
    ],
)
def test_gates_refuse(gates, says):
    with pytest.raises(AccuracyError, match=says) as refusal:
        gates.check([ROW])
    assert refusal.value.exit_code == 6


def test_gates_hold_our_pictures_and_nobody_elses():
    good, bicubic = AccuracyRow("cat", "truth", 30.0, 0.8, 9), AccuracyRow("cat", "truth", 20.0, 0.5, 99)
    Gates(min_psnr_y=25).check([good, replace(bicubic, made_by="bicubic")])
    with pytest.raises(AccuracyError, match="nothing to compare"):
        Gates(min_psnr_y=10).check([replace(bicubic, made_by="bicubic")])


def test_gates_let_pass_and_hold_the_truth_only_where_there_is_nothing_better():
    poor = AccuracyRow("cat", "truth", 20.0, 0.5, 99)
    Gates(40.0, 0.98, 7).check([ROW, poor])
    with pytest.raises(AccuracyError, match="against truth"):
        Gates(min_psnr_y=40).check([poor])
    with pytest.raises(AccuracyError, match="nothing to compare"):
        Gates(min_psnr_y=40).check([])
    Gates().check([])
