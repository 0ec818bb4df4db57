"""What a bench run found, as data: written as versioned JSON, read back strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dit4sr.bench.accuracy.kept import KeptPicture
from dit4sr.bench.measure.statistics import Ratio, Summary
from dit4sr.runtime.bundles.schema import SchemaError, from_json, to_json
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError
from dit4sr.runtime.files.json_file import read_json
from dit4sr.runtime.files.reading import require_ordinary

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Records of version 1 know of no pictures that others made, and of none to compare with another record's."""
OURS = "dit4sr"
"""The contender that all others are compared with."""


@dataclass(frozen=True)
class Environment:
    """The machine, its software and its measured limits."""

    machine: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    versions: Mapping[str, str]
    load: float
    """Cores that other work kept busy while the bench ran, on average."""
    is_busy: bool
    """True if other work kept so many cores busy that the timings are no record."""
    copy_bandwidth: float
    """Bytes read and written in a second by a large copy, measured."""
    cached_bandwidth: float
    """Bytes read and written in a second by a copy that stays in the caches, measured."""
    matmul_rate: float
    """Floating-point operations in a second of a large MatMul, measured."""
    rate_precision: str
    device_peak: float | None = None
    """Dense FP16 FLOP/s of the data sheet, where the card is known."""


@dataclass(frozen=True)
class SubjectRecord:
    """What was measured, on what, at which settings."""

    bundle: str
    digest: str
    name: str
    weights: str
    precision: str
    backend: str
    clock: str
    threads: int
    picture: tuple[int, ...]
    """Height and width of the restored picture."""
    latent: tuple[int, ...]
    steps: int
    guidance: float
    tiles: int
    """How many tiles the picture was cut into; each goes through every step."""
    rows: int
    text_rows: int
    flops_per_picture: float | None
    """Floating-point operations of the sampling; ``None`` where the graph could not be read."""
    preset: str | None = None
    """The preset that gave the schedule, if one did."""


@dataclass(frozen=True)
class Series:
    """All samples of one contender in one scope."""

    scope: str
    contender: str
    seconds: tuple[float, ...]
    warmups: tuple[float, ...] = ()
    detail: str = ""

    @property
    def summary(self) -> Summary:
        """The samples in percentiles."""
        return Summary.of(self.seconds)


@dataclass(frozen=True)
class Comparison:
    """How many times slower than ours a contender is."""

    scope: str
    contender: str
    slower: Ratio
    is_paired: bool
    note: str = ""


@dataclass(frozen=True)
class GroupRow:
    """A group of layers in one step: what it costs, what it took, what it could take."""

    group: str
    flops: float
    bytes: float
    roof_seconds: float
    bound: str
    """What limits the group: ``compute``, or where its bytes come from, ``memory`` or ``caches``."""
    seconds: float | None = None

    @property
    def share_of_roof(self) -> float | None:
        """The part of the attainable speed that was attained; more than all of it is no share."""
        if not self.seconds or self.is_above_roof:
            return None
        return self.roof_seconds / self.seconds

    @property
    def is_above_roof(self) -> bool:
        """True if the group beat its limit, which was measured too low, or it moves fewer bytes."""
        return self.seconds is not None and self.seconds < self.roof_seconds


@dataclass(frozen=True)
class AccuracyRow:
    """How near one picture is to another."""

    picture: str
    against: str
    psnr: float
    """PSNR (Y) in decibels."""
    ssim: float
    max_error: int
    worst_step: int | None = None
    worst_step_error: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    made_by: str = OURS
    """Who made the picture: ours, or whatever is shown beside it."""


@dataclass(frozen=True)
class AblationRow:
    """What a bench run found with one optimisation switched off."""

    optimisation: str
    off: str
    """What runs instead of the optimisation, in words."""
    scope: str
    slower: Ratio | None
    note: str = ""


@dataclass(frozen=True)
class SweepRow:
    """Timings of one step at another size or batch."""

    height: int
    width: int
    images: int
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    """Everything that one run of the bench found."""

    schema: int
    made: str
    command: str
    environment: Environment
    subject: SubjectRecord
    series: tuple[Series, ...]
    comparisons: tuple[Comparison, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    accuracy: tuple[AccuracyRow, ...] = ()
    ablations: tuple[AblationRow, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was not measured, and why."""
    kept: KeptPicture | None = None
    """The timed picture; ``None`` in records of version 1."""

    def find(self, scope: str, contender: str = OURS) -> Series | None:
        """The samples of one contender in one scope."""
        return next((s for s in self.series if (s.scope, s.contender) == (scope, contender)), None)

    def to_text(self) -> str:
        """The record as JSON text."""
        return json.dumps(to_json(self), indent=1, ensure_ascii=False) + "\n"


def read_record(path: Path) -> Record:
    """Read a record from its file; anything else is refused in one line."""
    require_ordinary(path)
    values = read_json(path, failure=IntegrityError)
    version = values.get("schema") if isinstance(values, dict) else None
    if type(version) is int and version not in READABLE_VERSIONS:
        raise IncompatibleError(
            f"{path} has schema version {version}",
            expected=" or ".join(map(str, READABLE_VERSIONS)),
            fix="measure again with this version",
        )
    try:
        record = from_json(Record, values)
    except SchemaError as error:
        raise BadInputError(f"{path}: {error}", expected="a file that dit4sr-bench --json wrote") from None
    if any(not series.seconds or min(series.seconds) <= 0 for series in record.series):
        raise IntegrityError(f"{path} holds timings that are no times")
    return record
