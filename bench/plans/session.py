"""From a bundle to what its plans promise: compile, count, predict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from dit4sr.bench.plans.cards import CARDS, Card
from dit4sr.bench.plans.compiled import CompiledPlan, Progress, compiled_plans, plain_plan
from dit4sr.bench.plans.config import PlanRequest
from dit4sr.bench.plans.measured import measurements
from dit4sr.bench.plans.prediction import FACTORS, Prediction, predicted_seconds
from dit4sr.bench.plans.record import KIND, SCHEMA_VERSION, PlanRecord
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.export import architectures
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.files.reading import sha256_of

ONCE = ("vae_encoder", "prepare", "vae_decoder")
"""Components that run once for a picture of one tile."""


def plan_record(request: PlanRequest, progress: Progress) -> PlanRecord:
    """Account for every graph of a bundle, and predict from that."""
    original = Bundle.open(request.bundle)
    digest = sha256_of(original.path / MANIFEST)
    with _at_precision(original, request, progress) as bundle:
        plans = compiled_plans(bundle, progress)
        plain = plain_plan(bundle, progress) if request.with_plain else None
        steps, precision = bundle.card.default_steps, bundle.card.precision
    guided = next((plan for plan in plans if plan.component == "step"), None)
    found = measurements(request.measured, digest, guided.account if guided else None)
    elsewhere = {each.card for each in found} - {card.name for card in request.cards}
    cards = [*request.cards, *(card for card in CARDS if card.name in elsewhere)]
    return PlanRecord(
        kind=KIND,
        schema=SCHEMA_VERSION,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        bundle=original.path.name,
        digest=digest,
        precision=precision,
        steps=steps,
        plans={plan.name: plan.account for plan in plans},
        guided_step=guided.name if guided else "",
        plain=plain.account if plain else None,
        factors=FACTORS,
        predictions=tuple(predicted(card, plans, plain, steps) for card in cards),
        command=request.command,
        measurements=found,
        has_stand_in_scales=request.as_fp8,
        system=architectures.of_bundle(original.manifest).name,
    )


@contextmanager
def _at_precision(bundle: Bundle, request: PlanRequest, progress: Progress) -> Iterator[Bundle]:
    """The bundle, or while its plans are compiled a copy whose step is in FP8."""
    if not request.as_fp8:
        yield bundle
        return
    with tempfile.TemporaryDirectory() as folder:
        progress("step: into fp8, scales stand in")
        yield untried_bundle(bundle, Path(folder), FP8)


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
