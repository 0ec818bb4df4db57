"""How true the pictures are: to the FP32 result, and to the truth where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dit4sr.bench.accuracy.quality import iqa, max_error, psnr, ssim
from dit4sr.bench.accuracy.trajectory import step_errors, trajectory
from dit4sr.bench.record import AccuracyRow
from dit4sr.bench.subject import Specimen, Subject
from dit4sr.runtime.errors import AccuracyError
from dit4sr.runtime.image.photo import Picture

TRUTH, FP32 = "truth", "FP32"


@dataclass(frozen=True)
class Gates:
    """What the pictures must reach against the FP32 result, where a user says so."""

    least_psnr: float | None = None
    least_ssim: float | None = None
    most_error: int | None = None

    def check(self, rows: Sequence[AccuracyRow]) -> None:
        """Refuse the first picture that falls short; without an FP32 result, hold the truth's figures."""
        judged = [row for row in rows if row.against != TRUTH] or list(rows)
        limits = (self.least_psnr, self.least_ssim, self.most_error)
        if not judged and any(limit is not None for limit in limits):
            raise AccuracyError("nothing to judge the pictures by", fix="give a --reference, or a --truth")
        for row in judged:
            place = f"{row.picture} against {row.against}"
            if self.least_psnr is not None and row.psnr < self.least_psnr:
                raise AccuracyError(
                    f"{place}: PSNR {row.psnr:.2f} dB", expected=f"{self.least_psnr:g} dB at least"
                )
            if self.least_ssim is not None and row.ssim < self.least_ssim:
                raise AccuracyError(f"{place}: SSIM {row.ssim:.4f}", expected=f"{self.least_ssim:g} at least")
            if self.most_error is not None and row.max_error > self.most_error:
                raise AccuracyError(
                    f"{place}: off by {row.max_error} of 255", expected=f"{self.most_error} at most"
                )


def compared(
    picture: str, against: str, found: Picture, wanted: Picture, metrics: Sequence[str] = ()
) -> AccuracyRow:
    """One picture against another."""
    return AccuracyRow(
        picture,
        against,
        round(psnr(found, wanted), 3),
        round(ssim(found, wanted), 5),
        max_error(found, wanted),
        metrics=dict(iqa(metrics, found, wanted)),
    )


def accuracies(
    subject: Subject,
    specimens: Sequence[Specimen],
    reference: Path | None,
    metrics: Sequence[str],
    notes: list[str],
) -> list[AccuracyRow]:
    """The subject's pictures against the FP32 result, where there is one, and against the truth."""
    rows = []
    is_own = (subject.backend.name, subject.backend.device) == ("onnxruntime", "cpu")
    path = reference or (None if is_own else subject.bundle.path)
    if path is not None:
        with Subject(
            path,
            subject.specimen,
            subject.settings,
            backend="onnxruntime",
            device="cpu",
            threads=subject.threads,
        ) as other:
            rows.append(against_reference(subject, other, metrics))
    else:
        notes.append(
            "the worst step against FP32: this is ONNX Runtime on the CPU, and no --reference is given"
        )
    return [*rows, *against_truth(subject, specimens, metrics, notes)]


def against_truth(
    subject: Subject, specimens: Sequence[Specimen], metrics: Sequence[str], notes: list[str]
) -> list[AccuracyRow]:
    """Every specimen whose truth is known; where the engines take one size only, a cut of that size."""
    rows = []
    for whole in specimens:
        specimen = whole if subject.takes_any_size else whole.fitted(*subject.specimen.picture.shape[:2])
        if specimen.truth is not None:
            found = subject.restore(specimen=specimen)
            rows.append(compared(specimen.name, TRUTH, found, specimen.truth, metrics))
        elif whole.truth is not None:
            notes.append(f"{whole.name} against its truth: smaller than the one size that these engines take")
    if rows and not subject.takes_any_size:
        notes.append(
            "whole pictures against their truths: these engines take one size, so middles were compared"
        )
    return rows


def against_reference(subject: Subject, reference: Subject, metrics: Sequence[str] = ()) -> AccuracyRow:
    """The subject's picture against the reference's, and the step after which their latents differ most."""
    row = compared(subject.specimen.name, FP32, subject.restore(), reference.restore(), metrics)
    errors = step_errors(trajectory(subject), trajectory(reference))
    worst = int(np.argmax(errors))
    return AccuracyRow(
        row.picture, row.against, row.psnr, row.ssim, row.max_error, worst + 1, errors[worst], row.metrics
    )
