"""What a search for schedules ended with, as data: for the table, the plot and the page, and to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dit4sr.calibrate.schedules.judge import Verdict
from dit4sr.calibrate.schedules.timing import Timing
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.bundles.schema import SchemaError, from_json, to_json
from dit4sr.runtime.errors import IntegrityError
from dit4sr.runtime.files.json_file import read_json

TIMED = "Timed"
"""What a remark on the timings begins with."""


@dataclass(frozen=True)
class Row:
    """One schedule, and what it did to the photos that it was judged by."""

    family: str
    solver: str
    velocities: str
    rows: int
    """Rows that the network computes for a picture of one tile."""
    runs: int
    psnr: float
    """Mean PSNR (RGB) to the exact pictures."""
    worst_psnr: float
    drop: float | None
    """Decibels of the mean PSNR (RGB) against the truth that it lost."""
    seconds: float
    """Mean of the steps of a picture while it was judged, beside whatever else the machine did."""

    @classmethod
    def of(cls, verdict: Verdict) -> Row:
        """The row of a verdict."""
        candidate = verdict.candidate
        return cls(
            candidate.family,
            candidate.solver.value,
            candidate.velocities,
            candidate.rows,
            sum(letter in "gu" for letter in candidate.velocities),
            round(verdict.psnr, 3),
            round(verdict.worst_psnr, 3),
            None if verdict.drop is None else round(verdict.drop, 4),
            round(verdict.seconds, 4),
        )


@dataclass(frozen=True, kw_only=True)
class ScheduleRecord:
    """A search from beginning to end."""

    made: str
    command: str
    bundle: str
    backend: str
    machine: str
    guidance: float
    searched_on: tuple[str, ...]
    judged_by: tuple[str, ...]
    rows: tuple[Row, ...]
    presets: tuple[Preset, ...]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    """Of the presets, by name, where they were measured."""
    remarks: tuple[str, ...] = ()

    def timed(self, timings: Mapping[str, Timing], where: str) -> ScheduleRecord:
        """The same search with its presets timed anew, and a remark that says so in place of an older one."""
        others = [remark for remark in self.remarks if not remark.startswith(TIMED)]
        return replace(self, timings=timings, remarks=(*others, f"{TIMED} {where}"))

    def to_text(self) -> str:
        """The record as JSON."""
        return json.dumps(to_json(self), indent=2, ensure_ascii=False) + "\n"


def read_schedule_record(file: Path) -> ScheduleRecord:
    """Read what was written."""
    try:
        return from_json(ScheduleRecord, read_json(file, failure=IntegrityError))
    except SchemaError as error:
        raise IntegrityError(f"{file} is no record of schedules ({error})") from None
