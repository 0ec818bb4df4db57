"""Bench records made of nothing but numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.photos import make_photo

from dit4sr.bench.accuracy.kept import KeptPicture
from dit4sr.bench.measure.statistics import Ratio
from dit4sr.bench.record import (
    OURS,
    SCHEMA_VERSION,
    AblationRow,
    AccuracyRow,
    Comparison,
    Environment,
    GroupRow,
    Record,
    Series,
    SubjectRecord,
    SweepRow,
)

SCOPES = {"cold start": 1.2, "picture": 0.8, "step": 0.015, "stage step": 0.6, "stage vae_decoder": 0.12}


def environment(machine: str = "a machine", rate: float = 1e11) -> Environment:
    return Environment(
        machine, 2, 8 << 30, "Linux", "3.11", {"numpy": "2"}, 0.1, False, 1e10, 5e10, rate, "fp32", None
    )


def timings(seconds: float, count: int, rng: np.random.Generator) -> tuple[float, ...]:
    values = seconds * rng.lognormal(0, 0.04, count)
    values[rng.random(count) < 0.03] *= 2
    return tuple(values.tolist())


def record(seed: int = 0, factor: float = 1.0, slowed: str = "", count: int = 12) -> Record:
    """A whole record; the scope named ``slowed`` takes ``factor`` as long."""
    rng = np.random.default_rng(seed)
    series = [
        Series(scope, OURS, timings(seconds * (factor if scope == slowed else 1), count, rng), (seconds,))
        for scope, seconds in SCOPES.items()
    ]
    series.append(Series("step", "eager", timings(0.03, count, rng)))
    ratio = Ratio(2.0, 1.9, 2.1, 0.95)
    return Record(
        schema=SCHEMA_VERSION,
        made="2026-01-02T03:04:05+00:00",
        command="dit4sr-bench",
        environment=environment(),
        subject=SubjectRecord(
            bundle="tiny",
            digest="0" * 64,
            name="dit4sr-<tiny>",
            weights="trained",
            precision="fp32",
            backend="onnxruntime/cpu",
            clock="monotonic",
            threads=0,
            picture=(128, 128),
            latent=(16, 16),
            steps=40,
            tiles=1,
            guidance=4.0,
            rows=2,
            text_rows=8,
            flops_per_picture=2e10,
        ),
        series=tuple(series),
        comparisons=(Comparison("step", "eager", ratio, is_paired=True),),
        groups=(
            GroupRow("image MLP", 2e8, 1e6, 0.002, "compute", 0.004),
            GroupRow("norms, modulation, sums", 0.0, 2e7, 0.002, "memory", 0.008),
            GroupRow("joint attention", 1e8, 1e6, 0.001, "compute", None),
        ),
        accuracy=(
            AccuracyRow("cat", "truth", 25.5, 0.71, 90, 3, 1e-4, {"musiq": 60.0}),
            AccuracyRow("cat", "truth", 24.9, 0.69, 95, made_by="bicubic"),
        ),
        ablations=(AblationRow("graph", "as written", "step", ratio, "a | note"),),
        sweep=(SweepRow(256, 256, 2, (0.1, 0.2, 0.3)),),
        peak_bytes={"host": 123_000_000},
        notes=("nothing else",),
        kept=KeptPicture.of("cat", make_photo(32, 32), make_photo(128, 128)),
    )


def full_size_record(seconds: float) -> Record:
    """The published picture, on a card whose peak is known."""
    known = record()
    return replace(
        known,
        environment=replace(environment("NVIDIA H200"), device_peak=989e12),
        subject=replace(known.subject, latent=(64, 64), flops_per_picture=375.5e12),
        series=(Series("picture", OURS, (seconds,) * 5),),
    )
