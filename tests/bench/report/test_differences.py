"""Two records' pictures beside their times: against the truth, and one against the other."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from support.photos import make_photo
from support.records import record

from dit4sr.bench.accuracy.kept import MOST_SIDE, KeptPicture
from dit4sr.bench.cli import command
from dit4sr.bench.record import Record
from dit4sr.bench.report.differences import format_differences
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import IntegrityError
from dit4sr.runtime.metrics import psnr_y, ssim

GIVEN, RESTORED = make_photo(32, 32), make_photo(128, 128)


def in_fp8(picture: np.ndarray | None = None, given: np.ndarray = GIVEN) -> Record:
    """A record of the same work in FP8, whose pictures are a little further from the truth."""
    made = record()
    rows = tuple(replace(row, psnr=row.psnr - 0.25) for row in made.accuracy)
    kept = None if picture is None else KeptPicture.of("cat", given, picture)
    return replace(made, subject=replace(made.subject, precision="fp8"), accuracy=rows, kept=kept)


def test_pictures_stand_beside_the_truth_and_one_another():
    changed = RESTORED.copy()
    changed[40:60, 40:60] ^= 7
    said = format_differences(record(), in_fp8(changed))
    header, _, row, between = (" ".join(line.split()) for line in said.splitlines())
    assert header == "PSNR (Y), dB before, fp32 after, fp8 change"
    assert row == "cat against truth 25.50 25.25 -0.25", "ours, not bicubic's"
    figures = (
        f"PSNR (Y) {round(psnr_y(changed, RESTORED), 3):.2f} dB, SSIM {round(ssim(changed, RESTORED), 5):.4f}"
    )
    assert between == f"cat, after against before: {figures}, off by 7 of 255 at most"


@pytest.mark.parametrize(
    ("after", "says"),
    [(in_fp8(), "not in both records"), (in_fp8(RESTORED, make_photo(32, 32, 1)), "different photos")],
)
def test_what_cannot_be_compared_is_said(after, says):
    said = format_differences(record(), after)
    assert says in said
    assert "after against before" not in said
    assert "-0.25" in said


def test_of_a_large_picture_the_middle_is_kept_without_loss():
    large = make_photo(300, 3 * MOST_SIDE)
    kept = KeptPicture.of("cat", GIVEN, large)
    assert (kept.pixels() == large[22 : 22 + MOST_SIDE, MOST_SIDE : 2 * MOST_SIDE]).all()
    assert len(kept.png) < 400_000


@pytest.mark.parametrize("png", ["no base64!", base64.b64encode(b"no picture").decode(), "ä", ""])
def test_a_damaged_picture_is_refused(png):
    with pytest.raises(IntegrityError, match="a record's picture cannot be read"):
        replace(KeptPicture.of("cat", GIVEN, RESTORED), png=png).pixels()


def test_the_command_shows_them_below_the_times(tmp_path, capsys):
    names = [tmp_path / "fp32.json", tmp_path / "fp8.json"]
    for name, made in zip(names, (record(), in_fp8(RESTORED)), strict=True):
        name.write_text(made.to_text())
    assert run_command(command, ["--compare", *map(str, names)]) == 0
    out = capsys.readouterr().out
    assert out.index("verdict") < out.index("before, fp32")
    assert "cat, after against before: PSNR (Y) 100.00 dB, SSIM 1.0000, off by 0" in out
