"""A study as a page of documentation shows it: tables between two marks, and a picture beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dit4sr.calibrate.search.evaluator import Verdict
from dit4sr.calibrate.study.recipes import EARLY, TWO_SETS
from dit4sr.calibrate.study.study import Study
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import read_text
from dit4sr.runtime.image.photo import Picture, resized
from dit4sr.runtime.metrics import psnr_rgb

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"


def as_markdown(study: Study) -> str:
    """The table of a study, and what it was made on."""
    photos = ", ".join(case.name for case in study.cases)
    lines = [
        f"{study.bundle}, {study.steps} steps, evaluated on {photos} (one tile each), ONNX Runtime on a CPU.",
        _truths(study),
        "",
        "| scales | PSNR (RGB) to FP16 | drop against truth | velocity: worst step | mean | bytes |",
        "|---|---|---|---|---|---|",
    ]
    for row in study.rows:
        verdict = row.verdict
        drop = "no truth" if verdict.drop is None else f"{verdict.drop:+.3f} dB"
        mean = f"{np.mean(verdict.velocity):.2%}"
        lines.append(
            f"| {row.name} | {verdict.psnr:.2f} dB | {drop} | {_worst(verdict)} | {mean} | {row.share:.1%} |"
        )
    if study.sensitive:
        lines += [
            "",
            "MatMuls that FP8 alone hurts most:",
            "",
            "| layer | PSNR (RGB) to FP16 | velocity: worst step |",
        ]
        lines += ["|---|---|---|"]
        lines += [f"| `{name}` | {v.psnr:.2f} dB | {_worst(v)} |" for name, v in study.sensitive.items()]
    lines += ["", *_timesteps(study)]
    lines += ["", f"Sampling takes {study.cost:.2f} times as long while it is observed."]
    lines += [f"All of this took {study.seconds / 60:.1f} minutes of processor time."]
    return "\n".join(lines)


def _timesteps(study: Study) -> list[str]:
    """Sentences on what scales of early steps do to late ones, and what two sets gain."""
    verdicts = {row.name: row.verdict for row in study.rows}
    lines = []
    for format_ in ("FP8", "INT8"):
        one = verdicts.get(f"{format_}, amax, one per output")
        early = verdicts.get(f"{format_}, {EARLY}")
        two = verdicts.get(f"{format_}, {TWO_SETS.format(study.steps // 2 + 1)}")
        if one and early and two:
            lines.append(
                f"{format_}: with scales of the early steps alone the last velocity is off by "
                f"{early.velocity[-1]:.2%} instead of {one.velocity[-1]:.2%}; two sets of scales change the "
                f"PSNR (RGB) to FP16 by {two.psnr - one.psnr:+.2f} dB."
            )
    return lines


def _worst(verdict: Verdict) -> str:
    return f"{max(verdict.velocity):.2%} (step {verdict.worst_step})"


def _truths(study: Study) -> str:
    known = [
        f"{case.name} {psnr_rgb(picture, case.truth):.2f} dB"
        for case, picture in zip(study.cases, study.originals, strict=True)
        if case.truth is not None
    ]
    return f"FP16 against the truth, PSNR (RGB): {', '.join(known)}." if known else "No photo has a truth."


def side_by_side(study: Study, names: Sequence[str]) -> Picture:
    """The first photo enlarged, restored in FP16, restored in other ways, and the truth: left to right."""
    case, original = study.cases[0], study.originals[0]
    height, width = original.shape[:2]
    chosen = {row.name: row.pictures[0] for row in study.rows}
    pictures = [resized(case.photo, (width, height)), original, *(chosen[name] for name in names)]
    if case.truth is not None:
        pictures.append(case.truth)
    return np.concatenate(pictures, axis=1)


def put_between_marks(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page by a text."""
    content = read_text(page)
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadInputError(f"{page} has no place for tables", expected=f"{BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def save_picture(picture: Picture, file: Path) -> None:
    """Write a picture to a PNG file."""
    Image.fromarray(picture).save(file, optimize=True)
