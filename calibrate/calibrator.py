"""The whole way of a calibration: observe, derive, evaluate, select, write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.encoders import embedding_errors
from dit4sr.calibrate.graph.bundle_rewriting import rewrite_bundle
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import quantised_matmuls
from dit4sr.calibrate.graph.step_graph import layer_names, load_step
from dit4sr.calibrate.graph.weights_only import weights_only_changes
from dit4sr.calibrate.observe.observer import observe
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.report import Decision, Report, bundle_bytes
from dit4sr.calibrate.scales.formats import Format
from dit4sr.calibrate.search.evaluator import Evaluator, Verdict
from dit4sr.calibrate.search.gate import LOOSEN, Gate
from dit4sr.calibrate.search.selection import Selection, select_kept
from dit4sr.calibrate.search.sensitivity import measure_sensitivity, most_sensitive_first
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.calibrate.source import open_source, split_photos
from dit4sr.calibrate.speed import TOO_LARGE, compare_speed
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Provenance
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.files.reading import sha256_of
from dit4sr.runtime.files.whole import atomic_directory
from dit4sr.runtime.settings import Settings

TABLE = "calibration.json"
"""Name of the file in a bundle that holds the report on it."""


def calibrate(config: CalibrationConfig, show: ShowStatus = show_nothing) -> Report:
    """Make an FP8 or INT8 bundle whose pictures pass the gate; where none does, nothing is written."""
    settings = Settings(steps=config.steps, guidance=config.guidance)
    bundle = open_source(config)
    photos, held_out = split_photos(config, bundle)
    statistics = observe(
        bundle,
        photos,
        settings,
        config.statistics_file,
        seed=config.seed,
        attention=config.attention,
        threads=config.threads,
        show=show,
    )
    trials = TrialBundles.derive(bundle, statistics, config, settings)
    show("restoring the photos to evaluate on")
    evaluator = Evaluator(bundle, held_out, settings, seed=config.seed, threads=config.threads)
    alone: dict[str, Verdict] = {}

    def ranked() -> list[str]:
        alone.update(alone or measure_sensitivity(evaluator, trials, list(trials.qparams), show))
        return most_sensitive_first(alone)

    if config.sensitivity:
        ranked()
    gate = Gate(config.max_psnr_drop, config.min_psnr_rgb)
    selection = select_kept(evaluator, trials, ranked, gate, show)
    matmuls = find_matmuls(load_step(bundle, attention=config.attention), layer_names(bundle))
    decisions = tuple(
        Decision(name, matmul.weights, alone.get(name), name in selection.kept)
        for name, matmul in matmuls.items()
    )
    with atomic_directory(config.output, replace=config.replace) as folder:
        provenance = _provenance(config, bundle, calibration=config.statistics_file)
        written = trials.write(folder, selection.kept, provenance=provenance, share=False)
        report = _report(config, (bundle, written), selection, decisions, (photos, held_out))
        _write_table(folder, report)
    return report


def store_weights_only(config: CalibrationConfig, format_: Format, show: ShowStatus = show_nothing) -> Report:
    """Store all weights, those of the text encoders too, in fewer bits; nothing has to be observed."""
    settings = Settings(steps=config.steps, guidance=config.guidance)
    bundle = open_source(config)
    _, held_out = split_photos(config, bundle)
    show("restoring the photos to evaluate on")
    evaluator = Evaluator(bundle, held_out, settings, seed=config.seed, threads=config.threads)
    gate = Gate(config.max_psnr_drop, config.min_psnr_rgb)
    with atomic_directory(config.output, replace=config.replace) as folder:
        show("storing weights")
        written = rewrite_bundle(
            bundle,
            folder,
            weights_only_changes(bundle, format_),
            precision=f"{format_.name} weights",
            provenance=_provenance(config, bundle),
            share=False,
        )
        show("evaluating")
        verdict = evaluator.evaluate(written)
        if not gate.passes(verdict):
            found = f"{verdict.psnr:.1f} dB between the pictures and {verdict.drop_text}"
            raise gate.refusal(found, fix=f"use more bits, or {LOOSEN}")
        report = Report(
            str(config.output),
            written.card.precision,
            bundle_bytes(bundle),
            bundle_bytes(written),
            verdict,
            len(held_out),
            embeddings=embedding_errors(bundle, written, threads=config.threads),
        )
        _write_table(folder, report)
    return report


def timed(report: Report, config: CalibrationConfig, show: ShowStatus = show_nothing) -> Report:
    """The report with how fast both bundles are here: no property of a bundle, so none is told of it."""
    show("timing both bundles")
    before, after = Bundle.open(config.bundle), Bundle.open(config.output)
    speed = compare_speed(config, before, after, has_pairs=report.has_pairs)
    remarks = report.remarks if speed else (*report.remarks, TOO_LARGE)
    return replace(report, speed=speed, remarks=remarks)


def _provenance(config: CalibrationConfig, bundle: Bundle, calibration: Path | None = None) -> Provenance:
    origin = bundle.manifest.provenance
    made_of = {**origin.checkpoint, "fp16 bundle": sha256_of(bundle.path / MANIFEST)}
    if calibration:
        made_of["calibration"] = sha256_of(calibration)
    return replace(origin, checkpoint=made_of, command=config.command)


def _report(
    config: CalibrationConfig,
    bundles: tuple[Bundle, Bundle],
    selection: Selection,
    decisions: tuple[Decision, ...],
    cases: tuple[Sequence[Case], Sequence[Case]],
) -> Report:
    (bundle, written), (photos, held_out) = bundles, cases
    wanted = {decision.name for decision in decisions if decision.weights and not decision.kept}
    claimed = {layer_names(written).layer_of(name) for name in quantised_matmuls(load_step(written))} & wanted
    if missing := sorted(wanted - claimed):
        raise AssertionError(f"{missing[0]} is not between its Q/DQ pairs")
    is_same = {case.name for case in held_out} <= {case.name for case in photos}
    return Report(
        str(config.output),
        written.card.precision,
        bundle_bytes(bundle),
        bundle_bytes(written),
        selection.verdict,
        len(held_out),
        len(claimed),
        decisions,
        remarks=("evaluated on photos that it was calibrated on, for want of others",) if is_same else (),
    )


def _write_table(folder: Path, report: Report) -> None:
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / TABLE).write_text(text, encoding="utf-8")
