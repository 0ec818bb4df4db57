"""Measurements of the plans that were predicted, so that the prediction's factors can be learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.plans.cards import Card, card_of_device
from dit4sr.bench.record import Record, read_record
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.errors import BadInputError

BACKENDS = ("tensorrt-rtx", "tensorrt")


@dataclass(frozen=True)
class Measurement:
    """What a step, and a picture where one was timed, took on a card: medians."""

    card: str
    backend: str
    step_seconds: float
    picture_seconds: float | None = None


def measurements(files: tuple[Path, ...], digest: str, step: PlanAccount | None) -> tuple[Measurement, ...]:
    """Those of records of the bench; ``digest`` is the bundle's, ``step`` its guided step's account."""
    return tuple(_measurement(file, read_record(file), digest, step) for file in files)


def _measurement(file: Path, record: Record, digest: str, step: PlanAccount | None) -> Measurement:
    backend = record.subject.backend.partition("/")[0]
    if backend not in BACKENDS:
        raise BadInputError(
            f"{file} was measured on {record.subject.backend}", expected=f"plans: {' or '.join(BACKENDS)}"
        )
    if record.subject.digest != digest:
        raise BadInputError(
            f"{file} is of another bundle ({record.subject.bundle})",
            expected="a record of the bundle that is predicted, with the engines that it has",
        )
    if step is None or _sizes(record) != {axis: step.sizes.get(axis) for axis in _sizes(record)}:
        raise BadInputError(
            f"{file} timed a step at other sizes: {_words(_sizes(record))}",
            expected=_words({axis: step.sizes.get(axis, 0) for axis in _sizes(record)}) if step else "a step",
        )
    timed, picture = record.find("step"), record.find("picture")
    if timed is None:
        raise BadInputError(f"{file} has no timed step", expected="a record of dit4sr-bench")
    return Measurement(
        _card(file, record).name, backend, timed.summary.p50, picture.summary.p50 if picture else None
    )


def _card(file: Path, record: Record) -> Card:
    card = card_of_device(record.environment.machine)
    if card is None:
        raise BadInputError(
            f"{file} was measured on {record.environment.machine}, whose data sheet is not known here",
            expected="a card of --card",
        )
    return card


def _sizes(record: Record) -> dict[str, int]:
    subject = record.subject
    height, width = subject.latent
    return {"height": height, "width": width, "rows": subject.rows, "text": subject.text_rows}


def _words(sizes: dict[str, int]) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in sizes.items())
