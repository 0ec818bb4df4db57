"""``python -m dit4sr.bench.cluster.forecast``: what a job would take on many GPUs, on paper.

Nothing here is measured. Every figure follows from those that are given, by the formulas of `Forecast`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dit4sr.bench.cluster.block import renewed
from dit4sr.bench.plans.record import read_plan_record
from dit4sr.bench.report.markdown import markdown_table
from dit4sr.runtime.cluster.job import AHEAD, MOST_TASKS
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.options import NUMBER
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import read_text

HOUR = 3600.0
MARK = "forecast"
HEADER = ("GPUs", "pictures an hour", "whole job", "start", "end", "at work", "cost", "limit")


@dataclass(frozen=True)
class Job:
    """What is to be restored, and with what."""

    pictures: int
    picture_seconds: float
    """Of one picture on one GPU."""
    slowest: float
    """How many times as long the slowest picture takes."""
    read_bytes: float
    """Of one picture."""
    written_bytes: float
    bundle_bytes: float
    opening_seconds: float
    """Until a worker that has the bundle's bytes is ready."""
    storage: float
    """Bytes a second that the storage gives and takes, for all machines together."""
    price: float
    """Of a GPU for an hour."""


@dataclass(frozen=True)
class Forecast:
    """A job on some number of GPUs."""

    job: Job
    gpus: int

    @property
    def computed(self) -> float:
        """Pictures a second if nothing but the GPUs limits them: G / s."""
        return self.gpus / self.job.picture_seconds

    @property
    def stored(self) -> float:
        """Pictures a second that the storage reads and writes: B / (in + out)."""
        return self.job.storage / (self.job.read_bytes + self.job.written_bytes)

    @property
    def rate(self) -> float:
        """Pictures a second: the smaller of the two."""
        return min(self.computed, self.stored)

    @property
    def start(self) -> float:
        """Seconds until all work, as all read the bundle from one storage: G · bundle / B + opening."""
        return self.gpus * self.job.bundle_bytes / self.job.storage + self.job.opening_seconds

    @property
    def end(self) -> float:
        """Seconds in which GPUs run dry, at most: the last has its tasks to do, with the slowest."""
        each = math.ceil(self.job.pictures / MOST_TASKS)
        return (AHEAD * each - 1 + self.job.slowest) * self.job.picture_seconds

    @property
    def seconds(self) -> float:
        """Of the whole job: start + N / rate + end."""
        return self.start + self.job.pictures / self.rate + self.end

    @property
    def at_work(self) -> float:
        """The share of what is paid for that restores: N · s / (G · seconds)."""
        return self.job.pictures * self.job.picture_seconds / (self.gpus * self.seconds)

    @property
    def cost(self) -> float:
        """What the GPUs cost: G · seconds · price."""
        return self.gpus * self.seconds / HOUR * self.job.price

    @property
    def limit(self) -> str:
        """What limits the rate, or else what takes the most of the rest."""
        if self.stored < self.computed:
            return "storage"
        spent = {
            "GPUs": self.job.pictures / self.rate,
            "opening the bundle": self.start,
            "the last pictures": self.end,
        }
        return max(spent, key=lambda name: spent[name])

    def row(self) -> tuple[str, ...]:
        """Its line of the table."""
        return (
            f"{self.gpus:,}",
            f"{HOUR * self.rate:,.0f}",
            _duration(self.seconds),
            _duration(self.start),
            _duration(self.end),
            f"{100 * self.at_work:.0f} %",
            f"{self.cost:,.0f}",
            self.limit,
        )


def table(job: Job, counts: Sequence[int]) -> list[str]:
    """The forecast of a job for some numbers of GPUs, with all that it stands on."""
    rows = tuple(Forecast(job, count).row() for count in counts)
    return [
        *markdown_table(HEADER, rows),
        "",
        f"Predicted, not measured: {job.pictures:,} pictures of {job.picture_seconds:.3g} s each, the "
        f"slowest {job.slowest:g} times that; {job.read_bytes / 1e6:g} MB read and "
        f"{job.written_bytes / 1e6:g} MB written a picture; a bundle of {job.bundle_bytes / 1e9:g} GB, "
        f"{job.opening_seconds:g} s to open; storage of {job.storage / 1e9:g} GB/s for all machines; "
        f"{job.price:g} a GPU-hour.",
    ]


def seconds_predicted(record: Path, card: str) -> float:
    """Seconds of a picture as a record of plans predicts them for a card."""
    for prediction in read_plan_record(record).predictions:
        if prediction.card == card and prediction.picture_seconds is not None:
            return prediction.picture_seconds
    raise BadInputError(f"{record} predicts no picture on {card}")


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.0f} h"
    )


@click.command(name="python -m dit4sr.bench.cluster.forecast")
@click.option("--gpus", type=int, multiple=True, default=(10, 100, 1000), show_default=True)
@click.option("--pictures", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--picture-seconds", type=NUMBER, help="Measured on one GPU; else predicted for --card.")
@click.option("--card", default="A100-80", show_default=True, help="A card of --record.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    default=Path("bench/results/plan-full-fp16.json"),
    show_default=True,
    help="A record of plans, which predicts a picture's seconds.",
)
@click.option("--slowest", type=NUMBER, default=4.0, show_default=True, help="Times a picture's seconds.")
@click.option("--read-mb", type=NUMBER, default=0.05, show_default=True, help="Of a picture.")
@click.option("--written-mb", type=NUMBER, default=0.5, show_default=True, help="Of a picture.")
@click.option("--bundle-gb", type=NUMBER, default=5.18, show_default=True)
@click.option("--opening", type=NUMBER, default=60.0, show_default=True, help="Seconds, once read.")
@click.option(
    "--storage-gb", type=NUMBER, default=10.0, show_default=True, help="A second, for all machines."
)
@click.option("--price", type=NUMBER, default=2.0, show_default=True, help="Of a GPU-hour.")
@click.option("--page", type=click.Path(path_type=Path), help="Write the table into this page.")
def command(
    *,
    gpus: Sequence[int],
    pictures: int,
    picture_seconds: float | None,
    card: str,
    record: Path,
    slowest: float,
    read_mb: float,
    written_mb: float,
    bundle_gb: float,
    opening: float,
    storage_gb: float,
    price: float,
    page: Path | None,
) -> None:
    """Compute pictures an hour, time and cost of a job on many GPUs."""
    job = Job(
        pictures=pictures,
        picture_seconds=picture_seconds or seconds_predicted(record, card),
        slowest=slowest,
        read_bytes=read_mb * 1e6,
        written_bytes=written_mb * 1e6,
        bundle_bytes=bundle_gb * 1e9,
        opening_seconds=opening,
        storage=storage_gb * 1e9,
        price=price,
    )
    lines = table(job, gpus)
    if page is None:
        click.echo("\n".join(lines))
    else:
        page.write_text(renewed(read_text(page), MARK, lines), encoding="utf-8")


if __name__ == "__main__":
    run_process(command)
