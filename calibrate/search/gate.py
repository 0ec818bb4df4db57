"""The gate that the pictures of a changed bundle have to pass."""

from __future__ import annotations

from dataclasses import dataclass

from dit4sr.calibrate.search.evaluator import Verdict
from dit4sr.runtime.errors import AccuracyError

LOOSEN = "loosen --max-psnr-drop or --min-psnr-rgb"
"""What a user can do about every gate."""


@dataclass(frozen=True)
class Gate:
    """How near the pictures must be; both figures are PSNR over all channels, in decibels."""

    max_psnr_drop: float
    """What the mean PSNR against the truth may lose."""
    min_psnr_rgb: float
    """What the worst picture must reach against the original bundle's."""

    def passes(self, verdict: Verdict) -> bool:
        """True if the verdict is within this gate."""
        is_true_enough = verdict.drop is None or verdict.drop <= self.max_psnr_drop
        return verdict.psnr >= self.min_psnr_rgb and is_true_enough

    def refusal(self, found: str, fix: str = LOOSEN) -> AccuracyError:
        """The error for pictures that this gate does not let through."""
        return AccuracyError(
            found,
            expected=f"{self.min_psnr_rgb:g} dB or more, and a drop of {self.max_psnr_drop:g} dB or less",
            fix=fix,
        )
