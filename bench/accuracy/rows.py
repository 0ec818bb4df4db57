"""The rows of the accuracy table: pictures against the FP32 result, and against truths that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dit4sr.bench.accuracy.iqa import iqa_scores
from dit4sr.bench.pictures import InputPicture
from dit4sr.bench.record import AccuracyRow
from dit4sr.bench.subject import Subject
from dit4sr.runtime.image.photo import Picture, resized
from dit4sr.runtime.metrics import max_error, psnr_y, relative_errors, ssim

TRUTH, FP32 = "truth", "FP32"
BICUBIC = "bicubic"


def compared(
    picture: str, against: str, found: Picture, wanted: Picture, metrics: Sequence[str] = ()
) -> AccuracyRow:
    """The row that compares one picture with another; its step figures are left open."""
    return AccuracyRow(
        picture,
        against,
        round(psnr_y(found, wanted), 3),
        round(ssim(found, wanted), 5),
        max_error(found, wanted),
        metrics=dict(iqa_scores(metrics, found, wanted)),
    )


def accuracies(
    subject: Subject,
    pictures: Sequence[InputPicture],
    reference: Path | None,
    metrics: Sequence[str],
    notes: list[str],
) -> list[AccuracyRow]:
    """Rows of the subject's pictures against the FP32 result, where there is one, and against the truth."""
    rows = []
    is_own = (subject.backend.name, subject.backend.device) == ("onnxruntime", "cpu")
    path = reference or (None if is_own else subject.bundle.path)
    if path is not None:
        with Subject(
            path,
            subject.picture,
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
    return [*rows, *against_truth(subject, pictures, metrics, notes)]


def against_truth(
    subject: Subject, pictures: Sequence[InputPicture], metrics: Sequence[str], notes: list[str]
) -> list[AccuracyRow]:
    """Rows of every picture with a truth: ours, and what bicubic makes of the same photo.

    Where the engines take one size only, they are about a cut of that size.
    """
    rows: list[AccuracyRow] = []
    for whole in pictures:
        picture = whole if subject.takes_any_size else whole.fitted(*subject.picture.size)
        if picture.truth is not None:
            found = subject.restore(picture=picture)
            rows.append(compared(picture.name, TRUTH, found, picture.truth, metrics))
            rows.append(bicubic_against_truth(picture, picture.truth, metrics))
        elif whole.truth is not None:
            notes.append(f"{whole.name} against its truth: smaller than the one size that these engines take")
    if rows and not subject.takes_any_size:
        notes.append(
            "whole pictures against their truths: these engines take one size, so middles were compared"
        )
    return rows


def bicubic_against_truth(picture: InputPicture, truth: Picture, metrics: Sequence[str] = ()) -> AccuracyRow:
    """The row of what no network is needed for: anybody else's picture has to be better."""
    enlarged = resized(picture.pixels, (truth.shape[1], truth.shape[0]))
    return replace(compared(picture.name, TRUTH, enlarged, truth, metrics), made_by=BICUBIC)


def against_reference(subject: Subject, reference: Subject, metrics: Sequence[str] = ()) -> AccuracyRow:
    """One run of the subject against one of the reference: their pictures, and where their latents part most.

    Latents are one run's only where the picture is one tile, so of a larger one the middle tile is compared.
    """
    picture = subject.middle_tile()
    name = picture.name if picture is subject.picture else f"{picture.name}, middle tile"
    found, wanted = (side.restore_recorded(picture) for side in (subject, reference))
    errors = relative_errors(found.latents, wanted.latents)
    worst = int(np.argmax(errors))
    row = compared(name, FP32, found.picture, wanted.picture, metrics)
    return replace(row, worst_step=worst + 1, worst_step_error=float(errors[worst]))
