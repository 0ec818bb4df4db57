"""What was found out about plans, as data: written as versioned JSON, read back strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.plans.measured import Measurement
from dit4sr.bench.plans.prediction import Prediction
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.bundles.schema import SchemaError, from_json, to_json
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError
from dit4sr.runtime.files.json_file import read_json

KIND, SCHEMA_VERSION = "plans", 1


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """The accounts of a bundle's graphs, of their alternative, and what they predict."""

    kind: str
    schema: int
    made: str
    bundle: str
    digest: str
    precision: str
    steps: int
    plans: Mapping[str, PlanAccount]
    """By the name of the plan, of every component."""
    guided_step: str
    """The name of the plan that a guided step runs."""
    plain: PlanAccount | None
    """Of the released network's step as torch exports it."""
    factors: str
    """What the predictions take for granted."""
    predictions: tuple[Prediction, ...]
    command: str
    measurements: tuple[Measurement, ...] = ()
    """Of the same plans, where they have been run."""
    has_stand_in_scales: bool = False
    """True if the step was put into eight bits to be compiled, without a calibration."""
    system: str = "dit4sr"
    """The architecture of the network. Records that do not say are from when there was no other."""

    def to_text(self) -> str:
        """The record's JSON."""
        return json.dumps(to_json(self), indent=2, ensure_ascii=False) + "\n"


def is_plan_record(path: Path) -> bool:
    """True if a file says that it is one; of a file that cannot be read, whoever reads it says why."""
    try:
        values = read_json(path)
    except BadInputError:
        return False
    return isinstance(values, dict) and values.get("kind") == KIND


def read_plan_record(path: Path) -> PlanRecord:
    """Read a record and check every field of it."""
    values = read_json(path, failure=IntegrityError)
    version = values.get("schema") if isinstance(values, dict) else None
    if type(version) is int and version != SCHEMA_VERSION:
        raise IncompatibleError(
            f"{path} has schema version {version}",
            expected=str(SCHEMA_VERSION),
            fix="make it again with this version",
        )
    try:
        return from_json(PlanRecord, values)
    except SchemaError as error:
        raise IntegrityError(f"{path}: {error}", fix="make it again") from None
