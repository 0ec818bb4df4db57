"""Two plots of plans: the step that is predicted card by card, and what a step moves by kind of kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dit4sr.bench.plans.compiled import PLAIN
from dit4sr.bench.plans.record import PlanRecord
from dit4sr.bench.report.drawing import DOT, REST, ROOF, as_svg, new_figure, require_matplotlib
from dit4sr.runtime.bundles.plan_account import PlanAccount

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THICK = 0.4
"""Of a bar, where two stand at one place."""


def plan_plots(record: PlanRecord) -> dict[str, str]:
    """The plots of a record as SVG, by title; none where there is no step to draw."""
    step = record.plans.get(record.guided_step)
    if step is None:
        return {}
    require_matplotlib()
    return {
        "A step, predicted, card by card": as_svg(_cards(record)),
        "What a step moves, by kind of kernel": as_svg(_moved(step, record.plain)),
    }


def _cards(record: PlanRecord) -> Figure:
    """A pair of bars for each card, and a mark where a measurement is known."""
    figure, axes = new_figure()
    rows = list(reversed(record.predictions))
    places = range(len(rows))
    ours = [1e3 * row.step_seconds for row in rows]
    axes.barh([place + THICK / 2 for place in places], ours, THICK, color=DOT, label="ours, predicted")
    plain = [1e3 * row.plain_step_seconds if row.plain_step_seconds else 0 for row in rows]
    if any(plain):
        lower = [place - THICK / 2 for place in places]
        axes.barh(lower, plain, THICK, color=REST, label=f"{PLAIN}, predicted")
    names = [row.card for row in rows]
    if marks := [each for each in record.measurements if each.card in names]:
        axes.plot(
            [1e3 * each.step_seconds for each in marks],
            [names.index(each.card) + THICK / 2 for each in marks],
            "D",
            color=ROOF,
            markersize=4,
            label="ours, measured",
        )
    axes.set_yticks(places, names, fontsize=6.5)
    axes.set_xlabel("milliseconds of a step")
    axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    figure.subplots_adjust(left=0.26, right=0.97, top=0.97, bottom=0.14)
    return figure


def _moved(step: PlanAccount, plain: PlanAccount | None) -> Figure:
    """A pair of bars for each kind of kernel."""
    figure, axes = new_figure()
    kinds = sorted(step.bytes, key=lambda kind: step.bytes[kind])
    places = range(len(kinds))
    ours = [step.bytes[kind] / 1e9 for kind in kinds]
    axes.barh([place + THICK / 2 for place in places], ours, THICK, color=DOT, label="ours")
    if plain is not None:
        others = [plain.bytes.get(kind, 0) / 1e9 for kind in kinds]
        axes.barh([place - THICK / 2 for place in places], others, THICK, color=REST, label=PLAIN)
    axes.set_yticks(places, kinds, fontsize=6.5)
    axes.set_xlabel("gigabytes read and written")
    axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    figure.subplots_adjust(left=0.26, right=0.97, top=0.97, bottom=0.14)
    return figure
