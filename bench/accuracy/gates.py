"""Figures that the pictures of a bench run must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.bench.accuracy.rows import TRUTH
from dit4sr.bench.record import OURS, AccuracyRow
from dit4sr.runtime.errors import AccuracyError


@dataclass(frozen=True)
class Gates:
    """Figures that the pictures must reach against the FP32 result; ``None`` lets everything pass."""

    min_psnr_y: float | None = None
    min_ssim: float | None = None
    max_error: int | None = None

    def check(self, rows: Sequence[AccuracyRow]) -> None:
        """Refuse our first picture that falls short; without an FP32 result, hold the truth's figures."""
        ours = [row for row in rows if row.made_by == OURS]
        deciding = [row for row in ours if row.against != TRUTH] or ours
        if not deciding and self != Gates():
            raise AccuracyError(
                "nothing to compare the pictures with", fix="give a --reference, or a --truth"
            )
        for row in deciding:
            self._check_row(row)

    def _check_row(self, row: AccuracyRow) -> None:
        place = f"{row.picture} against {row.against}"
        if self.min_psnr_y is not None and row.psnr < self.min_psnr_y:
            raise AccuracyError(
                f"{place}: PSNR (Y) {row.psnr:.2f} dB", expected=f"{self.min_psnr_y:g} dB at least"
            )
        if self.min_ssim is not None and row.ssim < self.min_ssim:
            raise AccuracyError(f"{place}: SSIM {row.ssim:.4f}", expected=f"{self.min_ssim:g} at least")
        if self.max_error is not None and row.max_error > self.max_error:
            raise AccuracyError(
                f"{place}: off by {row.max_error} of 255", expected=f"{self.max_error} at most"
            )
