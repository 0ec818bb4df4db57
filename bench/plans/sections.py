"""A record of plans as sections: what the compiler made of the graphs, and what that predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dit4sr.bench.plans.cards import CARDS
from dit4sr.bench.plans.compiled import PLAIN
from dit4sr.bench.plans.prediction import Prediction
from dit4sr.bench.plans.record import PlanRecord
from dit4sr.bench.report.sections import Row, Section
from dit4sr.bench.report.units import format_seconds
from dit4sr.runtime.backends.tensorrt_rtx import TARGETS
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.doctor.accounts import HEADER, account_row

STAND_IN = "no photo was seen: its scales stand in for those of a calibration"


def plan_sections(record: PlanRecord) -> list[Section]:
    """The sections that a record fills, in reading order."""
    step = record.plans.get(record.guided_step)
    made = [_plans(record), *([_kinds(record, step), _groups(step), _copies(step)] if step else [])]
    return [section for section in [*made, _predictions(record)] if section.rows]


def plan_headline(record: PlanRecord) -> list[str]:
    """Lines that say what was compiled, by which compiler, and that nothing ran."""
    stand_in = f", {STAND_IN}" if record.has_stand_in_scales else ""
    return [
        f"{record.bundle} in {record.precision}{stand_in}",
        f"{', '.join(compilers(record))}: compiled, not run",
    ]


def compilers(record: PlanRecord) -> tuple[str, ...]:
    """Names and versions of the compilers whose accounts a record holds."""
    return tuple(dict.fromkeys(account.compiler for account in record.plans.values()))


def _plans(record: PlanRecord) -> Section:
    rows = [account_row(name, account) for name, account in record.plans.items()]
    if record.plain is not None:
        rows.append(account_row(PLAIN, record.plain))
    return Section("What the compiler made", tuple(HEADER), tuple(rows))


def _kinds(record: PlanRecord, step: PlanAccount) -> Section:
    plain = record.plain
    kinds = dict.fromkeys([*step.kernels, *(plain.kernels if plain else ())])
    rows: list[Row] = [[kind, *_of_kind(step, kind), *_of_kind(plain, kind)] for kind in kinds]
    header = ["kernels of a step", "ours", "moved", *(["plain export", "moved"] if plain else [])]
    return Section("A step by kind of kernel", header, tuple(rows))


def _of_kind(account: PlanAccount | None, kind: str) -> Sequence[str]:
    if account is None:
        return []
    return [str(account.kernels.get(kind, 0)), format_bytes(account.bytes.get(kind, 0))]


def _groups(step: PlanAccount) -> Section:
    rows = [
        [group.group, str(group.kernels), f"{group.flops / 1e9:,.1f}", format_bytes(group.bytes)]
        for group in step.groups
    ]
    return Section("A step by group of layers", ("layers", "kernels", "GFLOP", "moved"), tuple(rows))


def _copies(step: PlanAccount) -> Section:
    rows = [[", ".join(copy.nodes) or copy.kernel, format_bytes(copy.bytes)] for copy in step.copies]
    return Section("Casts and copies of a step that stand alone", ("from", "moved"), tuple(rows))


def _predictions(record: PlanRecord) -> Section:
    """A row for every card, with what was measured there where something was."""
    measured = {each.card: each for each in record.measurements}
    header = ["card", "step, predicted", "plain export, predicted", "times as fast", "picture, predicted"]
    if measured:
        header += ["step, measured", "measured / predicted"]
    rows = []
    for each in record.predictions:
        row = _prediction(each)
        if measured:
            found = measured.get(each.card)
            row += (
                [
                    f"{format_seconds(found.step_seconds)} ({found.backend})",
                    f"{found.step_seconds / each.step_seconds:.2f}",
                ]
                if found
                else ["–", "–"]
            )
        rows.append(row)
    return Section("Predictions", header, tuple(rows), tuple(_remarks(record)))


def _remarks(record: PlanRecord) -> Iterator[str]:
    """What has to be known to read the predictions."""
    yield f"{record.factors}."
    yield f"A picture is of one tile in {record.steps} steps, without reading its prompt."
    cards = [card for card in CARDS if card.name in {each.card for each in record.predictions}]
    if others := [card.name for card in cards if card.architecture not in TARGETS]:
        yield f"No plan can be built for {' and '.join(others)}: theirs are the same kernels at their rates."
    if record.precision == "fp8" and (wide := [card.name for card in cards if card.eight_bit_rate is None]):
        yield f"{' and '.join(wide)} multiply no FP8: theirs are the same kernels at their rates in FP16."


def _prediction(each: Prediction) -> list[str]:
    plain, faster = each.plain_step_seconds, each.speed_up
    return [
        each.card,
        format_seconds(each.step_seconds),
        "–" if plain is None else format_seconds(plain),
        "–" if faster is None else f"{faster:.2f}×",
        "–" if each.picture_seconds is None else format_seconds(each.picture_seconds),
    ]
