"""Judging schedules by the photos that they restore, beside what the exact one makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.observe.statistics import photo_digests
from dit4sr.calibrate.schedules.candidate import Candidate
from dit4sr.calibrate.schedules.findings import Findings, Outcome
from dit4sr.runtime.image.restored import Restored
from dit4sr.runtime.metrics import psnr_rgb
from dit4sr.runtime.upscaler import Upscaler

MOST_PSNR = 100.0
"""Decibels of equal pictures: an infinity is no number for a record."""


@dataclass(frozen=True)
class Verdict:
    """What a schedule did, over all photos of a judge."""

    candidate: Candidate
    psnr: float
    """Mean PSNR (RGB) to the exact pictures."""
    worst_psnr: float
    drop: float | None
    """Decibels that the mean PSNR (RGB) against the truth lost; ``None`` where no photo has one."""
    seconds: float
    """Mean of the steps of a picture."""


@dataclass
class Judge:
    """Restores the same photos by one schedule after the other; what is known is not restored again."""

    upscaler: Upscaler
    cases: Sequence[Case]
    exact: Candidate
    findings: Findings
    seed: int
    _of_exact: dict[str, Restored] = field(default_factory=dict)

    def judge(self, candidate: Candidate) -> Verdict:
        """Restore all photos, and compare them with the exact ones."""
        digests = photo_digests([case.photo for case in self.cases])
        outcomes = [
            self._outcome(case, digest, candidate) for case, digest in zip(self.cases, digests, strict=True)
        ]
        drops = [outcome.drop for outcome in outcomes if outcome.drop is not None]
        return Verdict(
            candidate,
            psnr=float(np.mean([outcome.psnr for outcome in outcomes])),
            worst_psnr=min(outcome.psnr for outcome in outcomes),
            drop=float(np.mean(drops)) if drops else None,
            seconds=float(np.mean([outcome.seconds for outcome in outcomes])),
        )

    def _outcome(self, case: Case, digest: str, candidate: Candidate) -> Outcome:
        known = self.findings.outcomes.get(digest, {})
        if candidate.key not in known:
            exact = self._exact(case, digest)
            restored = exact if candidate == self.exact else self._restored(case, candidate)
            drop = None
            if case.truth is not None:
                drop = psnr_rgb(exact.picture, case.truth) - psnr_rgb(restored.picture, case.truth)
            psnr = min(psnr_rgb(restored.picture, exact.picture), MOST_PSNR)
            outcome = Outcome(round(psnr, 4), drop and round(drop, 5), restored.seconds["step"])
            self.findings.keep_outcome(digest, candidate.key, outcome)
        return self.findings.outcomes[digest][candidate.key]

    def _exact(self, case: Case, digest: str) -> Restored:
        if digest not in self._of_exact:
            self._of_exact[digest] = self._restored(case, self.exact)
        return self._of_exact[digest]

    def _restored(self, case: Case, candidate: Candidate) -> Restored:
        return self.upscaler.upscale(case.photo, seed=self.seed, settings=candidate.settings())
