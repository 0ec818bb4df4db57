"""The whole way: observe, derive, judge, choose, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.encoders import embedding_errors
from dit4sr.calibrate.graph.bundle_rewriting import load_graph, write_variant
from dit4sr.calibrate.graph.matmuls import find_products, open_attentions
from dit4sr.calibrate.graph.switching import level_between
from dit4sr.calibrate.observe.observer import observe
from dit4sr.calibrate.observe.photos import Case, folder_cases, sample_cases, split
from dit4sr.calibrate.observe.statistics import Statistics
from dit4sr.calibrate.observe.tap import STEP
from dit4sr.calibrate.report import Report, bundle_bytes
from dit4sr.calibrate.scales.formats import Format
from dit4sr.calibrate.scales.qparams import derive_treatments
from dit4sr.calibrate.search.evaluator import Judge, Verdict
from dit4sr.calibrate.search.selection import (
    Choice,
    Decision,
    Gate,
    choose_kept,
    measure_alone,
    most_sensitive_first,
)
from dit4sr.calibrate.search.trial_bundles import Candidates, count_claims, product_sizes, smaller_components
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import AccuracyError, BadInputError
from dit4sr.runtime.files import atomic_directory, sha256_of
from dit4sr.runtime.manifest import MANIFEST, Provenance
from dit4sr.runtime.settings import Settings

Show = Callable[[str], None]
TABLE = "calibration.json"
"""The report, in the bundle it is about."""


def calibrate(config: CalibrationConfig, show: Show = lambda _: None) -> Report:
    """Make an FP8 or INT8 bundle whose pictures pass the gate; without such, nothing is written."""
    bundle = open_source(config)
    observed, judged = photos_of(config, bundle)
    settings = Settings(steps=config.steps, guidance=config.guidance)
    statistics = observe(
        bundle,
        observed,
        settings,
        config.statistics_file,
        seed=config.seed,
        attention=config.attention,
        threads=config.threads,
        show=show,
    )
    candidates = candidates_of(bundle, statistics, config, settings)
    show("restoring the photos to be judged by")
    judge = Judge(bundle, judged, settings, seed=config.seed, threads=config.threads)
    alone: dict[str, Verdict] = {}

    def ranked() -> list[str]:
        alone.update(alone or measure_alone(judge, candidates, list(candidates.treatments), show))
        return most_sensitive_first(alone)

    if config.sensitivity:
        ranked()
    choice = choose_kept(judge, candidates, ranked, Gate(config.max_psnr_drop, config.min_psnr), show)
    sizes = product_sizes(bundle, attention=config.attention)
    decisions = tuple(
        Decision(name, size, alone.get(name), name in choice.kept) for name, size in sizes.items()
    )
    with atomic_directory(config.output, replace=config.replace) as folder:
        provenance = _provenance(config, bundle, calibration=config.statistics_file)
        written = candidates.write(folder, choice.kept, provenance=provenance, share=False)
        report = _report(config, (bundle, written), choice, decisions, (observed, judged))
        _write_table(folder, report)
    return report


def make_smaller(config: CalibrationConfig, format_: Format, show: Show = lambda _: None) -> Report:
    """Store all weights, those of the text encoders too, in fewer bits; nothing has to be observed."""
    bundle = open_source(config)
    _, judged = photos_of(config, bundle)
    settings = Settings(steps=config.steps, guidance=config.guidance)
    show("restoring the photos to be judged by")
    judge = Judge(bundle, judged, settings, seed=config.seed, threads=config.threads)
    gate = Gate(config.max_psnr_drop, config.min_psnr)
    with atomic_directory(config.output, replace=config.replace) as folder:
        show("storing weights")
        written = write_variant(
            bundle,
            folder,
            smaller_components(bundle, format_),
            precision=f"{format_.name} weights",
            provenance=_provenance(config, bundle),
            share=False,
        )
        show("judging")
        verdict = judge.judge(written)
        if not gate.lets(verdict):
            raise _too_far(verdict, gate)
        report = Report(
            str(config.output),
            written.card.precision,
            bundle_bytes(bundle),
            bundle_bytes(written),
            verdict,
            len(judged),
            embeddings=embedding_errors(bundle, written, threads=config.threads),
        )
        _write_table(folder, report)
    return report


def open_source(config: CalibrationConfig) -> Bundle:
    """The bundle to start from, and nothing in the way of the output."""
    bundle = Bundle.open(config.bundle)
    if bundle.card.precision != "fp16":
        raise BadInputError(
            f"{config.bundle} is {bundle.card.precision}",
            expected="fp16, whose pictures are the standard",
            fix="export with --precision fp16",
        )
    if missing := {STEP, "prepare", "vae_encoder", "vae_decoder"} - bundle.components.keys():
        raise BadInputError(f"{config.bundle} lacks {min(missing)}", expected="a bundle that restores photos")
    output = config.output
    if output.exists() or output.is_symlink():
        if not (output / MANIFEST).is_file():
            raise BadInputError(f"{output} exists and is no bundle", fix="choose another --output")
        if output.resolve() == bundle.path.resolve():
            raise BadInputError(f"{output} is the bundle itself", fix="choose another --output")
        if not config.replace:
            raise BadInputError(f"{output} exists", fix="choose another --output, or replace it with --force")
    return bundle


def photos_of(config: CalibrationConfig, bundle: Bundle) -> tuple[list[Case], list[Case]]:
    """Photos to calibrate on, and photos to judge by."""
    cases = folder_cases(config.images, bundle.card) if config.images else sample_cases(bundle.card)
    if config.held_out:
        return cases, folder_cases(config.held_out, bundle.card)
    return split(cases)


def candidates_of(
    bundle: Bundle, statistics: Statistics, config: CalibrationConfig, settings: Settings
) -> Candidates:
    """What the statistics and the recipe make of the bundle's products."""
    model = load_graph(bundle, STEP)
    if config.attention:
        open_attentions(model)
    treatments = derive_treatments(find_products(model), statistics, config.recipe)
    late_below = None
    if config.recipe.switch_at is not None:
        late_below = level_between(settings.schedule(bundle.card).timesteps, config.recipe.switch_at)
    return Candidates(bundle, treatments, config.output, attention=config.attention, late_below=late_below)


def _provenance(config: CalibrationConfig, bundle: Bundle, calibration: Path | None = None) -> Provenance:
    origin = bundle.manifest.provenance
    made_of = {**origin.checkpoint, "fp16 bundle": sha256_of(bundle.path / MANIFEST)}
    if calibration:
        made_of["calibration"] = sha256_of(calibration)
    return replace(origin, checkpoint=made_of, command=config.command)


def _report(
    config: CalibrationConfig,
    bundles: tuple[Bundle, Bundle],
    choice: Choice,
    decisions: tuple[Decision, ...],
    photos: tuple[Sequence[Case], Sequence[Case]],
) -> Report:
    (bundle, written), (observed, judged) = bundles, photos
    wanted = {decision.name for decision in decisions if decision.weights and not decision.kept}
    claimed = count_claims(written, wanted)
    if missing := sorted(wanted - claimed):
        raise AssertionError(f"{missing[0]} is not between its Q/DQ pairs")
    is_same = {case.name for case in judged} <= {case.name for case in observed}
    return Report(
        str(config.output),
        written.card.precision,
        bundle_bytes(bundle),
        bundle_bytes(written),
        choice.verdict,
        len(judged),
        len(claimed),
        decisions,
        remarks=("judged by photos that it was calibrated on, for want of others",) if is_same else (),
    )


def _write_table(folder: Path, report: Report) -> None:
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / TABLE).write_text(text, encoding="utf-8")


def _too_far(verdict: Verdict, gate: Gate) -> AccuracyError:
    drop = "an unknown drop" if verdict.drop is None else f"a drop of {verdict.drop:.2f} dB"
    return AccuracyError(
        f"{verdict.psnr:.1f} dB between the pictures and {drop}",
        expected=f"{gate.min_psnr:g} dB or more, and a drop of {gate.max_psnr_drop:g} dB or less",
        fix="use more bits, or loosen --max-psnr-drop or --min-psnr",
    )
