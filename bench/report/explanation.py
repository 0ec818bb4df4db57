"""What holds a bundle back, in sentences."""

from __future__ import annotations

from dit4sr.bench.measure.limits import CACHES, COMPUTE, MEMORY
from dit4sr.bench.record import OURS, GroupRow, Record
from dit4sr.bench.report.units import format_rate, format_seconds

OUTSIDE = {
    "text": "encoding the prompt",
    "vae_encoder": "encoding the picture",
    "prepare": "preparing the conditions",
    "vae_decoder": "decoding the picture",
    "colour": "correcting the colours",
}

_BOUNDS = {
    COMPUTE: "arithmetic",
    MEMORY: "the memory's bandwidth",
    CACHES: "the caches' bandwidth (the weights fit the last cache)",
}


def explain(record: Record) -> list[str]:
    """Sentences on where the time of a picture goes, and which group of layers loses the most of it."""
    return [*_picture(record), *_step(record), *_machine(record)]


def _picture(record: Record) -> list[str]:
    picture, steps = record.find("picture"), record.find("stage step")
    if picture is None or steps is None:
        return []
    whole, stepping = picture.summary.p50, steps.summary.p50
    stages = {name: record.find(f"stage {name}") for name in OUTSIDE}
    others = {name: series.summary.p50 for name, series in stages.items() if series is not None}
    sentences = [
        f"A picture takes {format_seconds(whole)}, {stepping / whole:.0%} of it in "
        f"{record.subject.steps} steps of the network."
    ]
    if others and (largest := max(others, key=lambda name: others[name])):
        sentences.append(
            f"Outside the steps, {OUTSIDE[largest]} takes the most: {format_seconds(others[largest])}, "
            f"{others[largest] / whole:.0%}."
        )
    return sentences


def _step(record: Record) -> list[str]:
    step = record.find("step", OURS)
    if not record.groups or step is None:
        return []
    took, roof = step.summary.p50, sum(row.roof_seconds for row in record.groups)
    with_all = f"A step takes {format_seconds(took)}; with every group of layers at its limit it would take"
    if roof > took:
        return [f"{with_all} longer, {format_seconds(roof)}: the limits were measured too low to judge by."]
    share = f"{with_all} {format_seconds(roof)}, so it runs at {roof / took:.0%} of the roof."
    return [share, *_groups([row for row in record.groups if row.seconds])]


def _groups(timed: list[GroupRow]) -> list[str]:
    """Sentences on the dearest group of layers and the one furthest from its limit."""
    if not timed:
        return []
    spent = sum(row.seconds or 0 for row in timed)
    dearest = max(timed, key=lambda row: row.seconds or 0)
    worst = max(timed, key=_lost)
    share = (
        "" if dearest.share_of_roof is None else f", at {dearest.share_of_roof:.0%} of what it could reach"
    )
    return [
        f"The dearest group is {dearest.group}: {(dearest.seconds or 0) / spent:.0%} of the step"
        f"{share}, bound by {_BOUNDS[dearest.bound]}.",
        f"What holds the step back most is {worst.group}, bound by {_BOUNDS[worst.bound]}: at its limit the "
        f"step would be {_lost(worst) / spent:.0%} shorter.",
    ]


def _machine(record: Record) -> list[str]:
    environment = record.environment
    sentences = [
        f"The limits were measured here: {environment.copy_bandwidth / 1e9:.1f} GB/s in a copy, "
        f"{environment.cached_bandwidth / 1e9:.1f} GB/s in one that stays in the caches, "
        f"{format_rate(environment.matmul_rate)} in a MatMul ({environment.rate_precision})."
    ]
    if environment.is_busy:
        sentences.append(
            f"Other work kept {environment.load:g} of the {environment.cores} cores busy meanwhile: "
            "these timings are no record."
        )
    return sentences


def _lost(row: GroupRow) -> float:
    """Seconds between what a group of layers takes and what it would at its limit."""
    return max((row.seconds or 0) - row.roof_seconds, 0)
