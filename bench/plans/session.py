"""From a bundle to what its plans promise: compile, count, predict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from dit4sr.bench.plans.cards import Card
from dit4sr.bench.plans.compiled import CompiledPlan, Progress, compiled_plans, plain_plan
from dit4sr.bench.plans.prediction import FACTORS, Prediction, predicted_seconds
from dit4sr.bench.plans.record import KIND, SCHEMA_VERSION, PlanRecord
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.files.reading import sha256_of

ONCE = ("vae_encoder", "prepare", "vae_decoder")
"""Components that run once for a picture of one tile."""


def plan_record(
    bundle: Bundle, cards: Sequence[Card], *, with_plain: bool, progress: Progress, command: str
) -> PlanRecord:
    """Account for every graph of a bundle; ``with_plain`` also for the network as torch exports it."""
    plans = compiled_plans(bundle, progress)
    plain = plain_plan(bundle, progress) if with_plain else None
    steps = bundle.card.default_steps
    return PlanRecord(
        kind=KIND,
        schema=SCHEMA_VERSION,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        bundle=bundle.path.name,
        digest=sha256_of(bundle.path / MANIFEST),
        precision=bundle.card.precision,
        steps=steps,
        plans={plan.name: plan.account for plan in plans},
        guided_step=next((plan.name for plan in plans if plan.component == "step"), ""),
        plain=plain.account if plain else None,
        factors=FACTORS,
        predictions=tuple(predicted(card, plans, plain, steps) for card in cards),
        command=command,
    )


def predicted(
    card: Card, plans: Sequence[CompiledPlan], plain: CompiledPlan | None, steps: int
) -> Prediction:
    """What one card would take."""
    seconds: dict[str, float] = {}
    for plan in plans:
        seconds.setdefault(plan.component, predicted_seconds(plan.layers, card))
    is_whole = {"step", *ONCE} <= seconds.keys()
    return Prediction(
        card.name,
        seconds.get("step", 0.0),
        predicted_seconds(plain.layers, card) if plain else None,
        steps * seconds["step"] + sum(seconds[name] for name in ONCE) if is_whole else None,
    )
