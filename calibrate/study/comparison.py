"""Every way of choosing scales, judged on the same photos; one observation serves all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dit4sr.calibrate.calibrator import candidates_of, open_source, photos_of
from dit4sr.calibrate.config import CalibrationConfig, Recipe
from dit4sr.calibrate.graph.bundle_rewriting import write_variant
from dit4sr.calibrate.graph.scratch import scratch_folder
from dit4sr.calibrate.observe.observer import observe, observing_cost
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.report import bundle_bytes
from dit4sr.calibrate.scales.formats import FORMATS, FP8, INT8
from dit4sr.calibrate.search.evaluator import Judge, Verdict
from dit4sr.calibrate.search.selection import measure_alone, most_sensitive_first
from dit4sr.calibrate.search.trial_bundles import smaller_components
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.settings import Settings

Show = Callable[[str], None]
WEIGHTS_ONLY = ("int8", "fp8", "int4")
MOST_SENSITIVE = 8
EARLY, TWO_SETS = "amax of the early steps only", "two sets, switched at step {}"


@dataclass(frozen=True)
class Row:
    """One way, and what it did."""

    name: str
    verdict: Verdict
    share: float
    """Bytes of the bundle, relative to the original's."""
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Study:
    """All ways, on the photos they were judged by."""

    bundle: str
    steps: int
    cases: Sequence[Case]
    originals: tuple[Picture, ...]
    rows: tuple[Row, ...]
    sensitive: Mapping[str, Verdict]
    """What single products do in FP8, the worst first."""
    cost: float
    """Seconds of sampling while it is observed, over seconds of sampling."""
    seconds: float
    """Processor time of the study."""


def recipes(steps: int) -> dict[str, Recipe]:
    """What is compared, by what the table calls it."""
    half = steps // 2
    ways: dict[str, Recipe] = {}
    for format_, name in ((FP8, "FP8"), (INT8, "INT8")):
        for per_channel, weight in ((False, "one scale per weight"), (True, "one per output")):
            for method in ("amax", "percentile", "mse"):
                ways[f"{name}, {method}, {weight}"] = Recipe(format_, method, per_channel)
            ways[f"{name}, SmoothQuant, {weight}"] = Recipe(format_, "amax", per_channel, smooth=True)
        if half:
            ways[f"{name}, {EARLY}"] = Recipe(format_, "amax", True, last_step=half)
            ways[f"{name}, amax of the late steps only"] = Recipe(format_, "amax", True, first_step=half)
            ways[f"{name}, {TWO_SETS.format(half + 1)}"] = Recipe(format_, "amax", True, switch_at=half)
    return ways


def run_study(config: CalibrationConfig, show: Show = lambda _: None) -> Study:
    """Observe once, then write and judge a bundle for every way."""
    bundle = open_source(config)
    observed, judged = photos_of(config, bundle)
    settings = Settings(steps=config.steps, guidance=config.guidance)
    steps = settings.schedule(bundle.card).steps
    seed, threads, started = config.seed, config.threads, time.process_time()
    cost = observing_cost(bundle, judged[0], settings, config.output, threads=threads)
    statistics = observe(
        bundle, observed, settings, config.statistics_file, seed=seed, threads=threads, show=show
    )
    judge = Judge(bundle, judged, settings, seed=seed, threads=threads)

    rows = []
    for name, recipe in recipes(steps).items():
        show(name)
        way = CalibrationConfig(config.bundle, config.output, recipe, steps=config.steps)
        with candidates_of(bundle, statistics, way, settings).complete(frozenset()) as changed:
            rows.append(_row(name, judge, bundle, changed))
    for bits in WEIGHTS_ONLY:
        show(f"weights only, {bits}")
        with scratch_folder(config.output) as folder:
            changed = write_variant(bundle, folder, smaller_components(bundle, FORMATS[bits]))
            rows.append(_row(f"weights only, {bits}", judge, bundle, changed))
    sensitive: dict[str, Verdict] = {}
    if config.sensitivity:
        candidates = candidates_of(bundle, statistics, config, settings)
        alone = measure_alone(judge, candidates, list(candidates.treatments), show)
        sensitive = {name: alone[name] for name in most_sensitive_first(alone)[:MOST_SENSITIVE]}
    return Study(
        bundle.card.name,
        steps,
        judged,
        tuple(outcome.picture for outcome in judge.originals),
        tuple(rows),
        sensitive,
        cost,
        time.process_time() - started,
    )


def _row(name: str, judge: Judge, bundle: Bundle, changed: Bundle) -> Row:
    outcomes = judge.restore(changed)
    share = bundle_bytes(changed)["all"] / bundle_bytes(bundle)["all"]
    return Row(name, judge.compare(outcomes), share, tuple(outcome.picture for outcome in outcomes))
