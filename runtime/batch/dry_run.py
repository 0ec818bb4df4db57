"""What a job would do, and what it would take, without doing it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import JobConfig
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.console.table import format_bytes, format_table
from dit4sr.runtime.costs.estimate import Estimate, Estimator
from dit4sr.runtime.errors import BadInputError, Dit4srError
from dit4sr.runtime.files.address import Place
from dit4sr.runtime.image.photo import read_content, read_photo
from dit4sr.runtime.machine.host import available_memory, free_disk
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import TileSizes
from dit4sr.runtime.upscaler import Upscaler

HEADER = ["picture", "size", "becomes", "seed", "goes to"]


@dataclass(frozen=True)
class Prospect:
    """What would become of one picture."""

    item: Item
    size: tuple[int, int]
    final: tuple[int, int]
    seed: int
    estimate: Estimate

    @property
    def is_there(self) -> bool:
        """True if its output exists already."""
        return self.item.target is not None and self.item.target.exists()

    def row(self) -> list[str]:
        """Its line of the table."""
        sizes = ["{}×{}".format(*size) for size in (self.size, self.final)]
        target = f"{self.item.target or PIPE}{' (exists)' if self.is_there else ''}"
        return [self.item.name, *sizes, str(self.seed), target]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "status": "would restore",
            "input": str(self.item.source),
            "output": str(self.item.target or PIPE),
            "exists": self.is_there,
            "input_size": list(self.size),
            "output_size": list(self.final),
            "seed": self.seed,
            **self.estimate.to_json(),
        }


@dataclass(frozen=True)
class DryRun:
    """What would become of every picture of a job, and what all of them would take."""

    prospects: Sequence[Prospect]
    refusals: Sequence[str]
    """Of pictures that would fail."""
    backend: str
    output: Place

    @classmethod
    def of(cls, upscaler: Upscaler, estimator: Estimator, items: Sequence[Item], config: JobConfig) -> DryRun:
        """Look at every picture; nothing is written."""
        if any(item.source is None for item in items):
            raise BadInputError("standard input can be read only once", fix="leave out --dry-run")
        prospects, refusals = [], []
        for item in items:
            try:
                prospects.append(_prospect(upscaler, estimator, item, config))
            except Exception as error:
                # Of the picture, or of an engine that was tried out: either way the job would end so.
                fault = error if isinstance(error, Dit4srError) else fault_of_picture(error, item.name)
                if fault is None:
                    raise
                refusals.append(str(fault))
        backend = "; ".join([f"backend {upscaler.backend}", *upscaler.reasons])
        return cls(prospects, refusals, backend, _folder(items))

    def text(self) -> str:
        """The pictures as a table, those that would fail, the backend, and what all would take."""
        table = [format_table(HEADER, [each.row() for each in self.prospects])] if self.prospects else []
        refusals = [f"would fail: {refusal}" for refusal in self.refusals]
        return "\n".join([*table, *refusals, self.backend, *self._demands()])

    def records(self) -> Iterator[str]:
        """A line of JSON for every picture."""
        for each in self.prospects:
            yield json.dumps(each.to_json(), ensure_ascii=False)
        for refusal in self.refusals:
            yield json.dumps({"status": "would fail", "error": refusal}, ensure_ascii=False)

    def _demands(self) -> Iterator[str]:
        estimates = [each.estimate for each in self.prospects]
        if not estimates:
            return
        memory = max(each.memory_bytes for each in estimates)
        disk = sum(each.output_bytes for each in estimates)
        yield f"memory {format_bytes(memory)}{_of(memory, available_memory(), 'available')}"
        yield f"disk {format_bytes(disk)} at most{_of(disk, _free(self.output), 'free')}"
        seconds = self._seconds(estimates)
        if seconds is not None:
            yield f"time {seconds:.3g} s, {estimates[0].basis}"
        yield from (f"  ({factor})" for factor in estimates[0].factors)

    @staticmethod
    def _seconds(estimates: Sequence[Estimate]) -> float | None:
        """Seconds of all pictures; the engines are opened once for all."""
        known = [each.seconds for each in estimates if each.seconds is not None]
        if len(known) < len(estimates):
            return None
        return known[0]["opening"] + sum(sum(each.values()) - each["opening"] for each in known)


def _prospect(upscaler: Upscaler, estimator: Estimator, item: Item, config: JobConfig) -> Prospect:
    assert item.source is not None
    settings = config.settings
    photo = read_photo(read_content(item.source), str(item.source), most_pixels=settings.most_pixels)
    geometry = upscaler.geometry(*photo.size, settings)
    plan = Plan.of(geometry, settings, upscaler.card, TileSizes.of(settings, upscaler.card))
    estimate = estimator.of(plan, geometry, photo.channels.nbytes // (photo.size[0] * photo.size[1]))
    return Prospect(item, photo.size, geometry.final, config.seed_of(item), estimate)


def _free(place: Place) -> int | None:
    """Bytes that may still be written; a store does not say."""
    return free_disk(place) if isinstance(place, Path) else None


def _folder(items: Sequence[Item]) -> Place:
    targets = [item.target.parent for item in items if item.target is not None]
    return targets[0] if targets else Path()


def _of(needed: int, there: int | None, word: str) -> str:
    if there is None:
        return ""
    return f", of {format_bytes(there)} {word}{': too little' if needed > there else ''}"
