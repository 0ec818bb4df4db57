"""Every way of choosing scales, evaluated on the same photos; one observation serves all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.graph.bundle_rewriting import rewrite_bundle
from dit4sr.calibrate.graph.weights_only import weights_only_changes
from dit4sr.calibrate.observe.observer import observe, observing_cost
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.report import bundle_bytes
from dit4sr.calibrate.scales.formats import FORMATS
from dit4sr.calibrate.search.evaluator import Evaluator, Verdict
from dit4sr.calibrate.search.sensitivity import measure_sensitivity, most_sensitive_first
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.calibrate.source import open_source, split_photos
from dit4sr.calibrate.study.recipes import recipes
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.files.drafts import draft_folder
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.settings import Settings

WEIGHTS_ONLY = ("int8", "fp8", "int4")
MOST_SENSITIVE = 8


@dataclass(frozen=True)
class Row:
    """One way of choosing scales, and what it did to the pictures."""

    name: str
    verdict: Verdict
    share: float
    """Bytes of the bundle, relative to the original's."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Study:
    """All ways of choosing scales, on the photos that they were evaluated on."""

    bundle: str
    steps: int
    cases: Sequence[Case]
    originals: tuple[Picture, ...]
    rows: tuple[Row, ...]
    sensitive: Mapping[str, Verdict]
    """What single MatMuls do in FP8, the worst first."""
    cost: float
    """Seconds of sampling while it is observed, over seconds of sampling."""
    seconds: float
    """Seconds of processor time that the study took."""


def run_study(config: CalibrationConfig, show: ShowStatus = show_nothing) -> Study:
    """Observe once, then write and evaluate a bundle for every way."""
    bundle = open_source(config)
    photos, held_out = split_photos(config, bundle)
    settings = Settings(steps=config.steps, guidance=config.guidance)
    steps = settings.schedule(bundle.card).steps
    seed, threads, started = config.seed, config.threads, time.process_time()
    cost = observing_cost(bundle, held_out[0], settings, config.output, threads=threads)
    statistics = observe(
        bundle, photos, settings, config.statistics_file, seed=seed, threads=threads, show=show
    )
    evaluator = Evaluator(bundle, held_out, settings, seed=seed, threads=threads)

    rows = []
    for name, recipe in recipes(steps).items():
        show(name)
        way = CalibrationConfig(config.bundle, config.output, recipe, steps=config.steps)
        with TrialBundles.derive(bundle, statistics, way, settings).complete(frozenset()) as changed:
            rows.append(_row(name, evaluator, bundle, changed))
    for bits in WEIGHTS_ONLY:
        show(f"weights only, {bits}")
        with draft_folder(config.output) as folder:
            changed = rewrite_bundle(bundle, folder, weights_only_changes(bundle, FORMATS[bits]))
            rows.append(_row(f"weights only, {bits}", evaluator, bundle, changed))
    sensitive: dict[str, Verdict] = {}
    if config.sensitivity:
        trials = TrialBundles.derive(bundle, statistics, config, settings)
        alone = measure_sensitivity(evaluator, trials, list(trials.qparams), show)
        sensitive = {name: alone[name] for name in most_sensitive_first(alone)[:MOST_SENSITIVE]}
    return Study(
        bundle.card.name,
        steps,
        held_out,
        tuple(outcome.picture for outcome in evaluator.originals),
        tuple(rows),
        sensitive,
        cost,
        time.process_time() - started,
    )


def _row(name: str, evaluator: Evaluator, bundle: Bundle, changed: Bundle) -> Row:
    outcomes = evaluator.restore(changed)
    share = bundle_bytes(changed)["all"] / bundle_bytes(bundle)["all"]
    return Row(name, evaluator.compare(outcomes), share, tuple(outcome.picture for outcome in outcomes))
