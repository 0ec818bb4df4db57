"""From a bundle to a bundle: what is written, and that it restores as was promised."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.quantised_system import MATMULS

from dit4sr.calibrate.calibrator import TABLE, calibrate, store_weights_only
from dit4sr.calibrate.config import CalibrationConfig, Recipe
from dit4sr.calibrate.observe.photos import folder_cases
from dit4sr.calibrate.report import format_report
from dit4sr.calibrate.scales.formats import FORMATS
from dit4sr.calibrate.search import trial_bundles
from dit4sr.calibrate.search.evaluator import Evaluator
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.doctor.inspection import format_inspection
from dit4sr.runtime.errors import AccuracyError, BadInputError
from dit4sr.runtime.settings import Settings


@pytest.fixture
def config(half_bundle, photos, observed, tmp_path):
    """The toy is untrained and takes rounding harder than a network that was taught to restore."""
    return CalibrationConfig(
        half_bundle.path,
        tmp_path / "out",
        Recipe.default("fp8"),
        images=photos,
        statistics=observed[1],
        threads=1,
        min_psnr_rgb=20,
        max_psnr_drop=2.0,
        sensitivity=False,
    )


@pytest.fixture
def whole(config, photos):
    """Observing all photos and evaluating on all, so that the session's observation serves."""
    return replace(config, held_out=photos)


@pytest.mark.parametrize("precision", ["fp8", "int8"])
def test_the_bundle_does_to_photos_what_the_report_says(whole, half_bundle, photos, precision):
    report = calibrate(replace(whole, recipe=Recipe.default(precision), sensitivity=precision == "int8"))
    written = Bundle.open(whole.output)
    written.verify()
    evaluator = Evaluator(half_bundle, folder_cases(photos, half_bundle.card), Settings(), threads=1)
    assert evaluator.evaluate(written) == report.verdict
    assert written.card.precision == written.components["step"].precision == precision
    assert report.claimed == len(MATMULS)
    assert report.after["all"] < report.before["all"]
    assert {*written.manifest.provenance.checkpoint} == {"random weights", "fp16 bundle", "calibration"}
    assert json.loads((whole.output / TABLE).read_text())["verdict"]["psnr"] == report.verdict.psnr
    assert f"{precision} weights" not in format_report(report)
    assert "8 MatMuls between Q/DQ pairs, 0 of 8 kept in fp16" in format_report(report)
    shown = format_inspection(written)
    assert f"{precision}" in shown.splitlines()[0]
    assert "QuantizeLinear" in shown
    if precision == "int8":
        assert [decision.name for decision in report.decisions] == MATMULS
        assert all(decision.alone.psnr >= report.verdict.psnr - 3 for decision in report.decisions)


def test_what_the_picture_asks_for_stays_in_half_precision(whole):
    """A gate a little above what all MatMuls in eight bits reach, and the table that says what was done."""
    wanted = calibrate(whole).verdict.psnr + 1
    report = calibrate(replace(whole, min_psnr_rgb=wanted, replace=True))
    kept = [decision for decision in report.decisions if decision.kept]
    others = [decision for decision in report.decisions if not decision.kept]
    assert report.verdict.psnr >= wanted
    assert 0 < len(kept) < len(MATMULS)
    assert max(decision.alone.psnr for decision in kept) <= min(decision.alone.psnr for decision in others)
    assert report.claimed == len(others)
    rows = {
        line.split()[0]: line.split()[-1] for line in format_report(report).splitlines() if "blocks." in line
    }
    assert rows == {each.name: "fp16" if each.kept else "fp8" for each in report.decisions}


def test_attention_is_quantised_on_request(config, photos, tmp_path):
    chosen = replace(config, attention=True, statistics=tmp_path / "attention.npz", held_out=photos)
    report = calibrate(chosen)
    graph = (chosen.output / "onnx" / "step.onnx").read_bytes()
    assert [decision.name for decision in report.decisions[-3:]] == [
        f"attention.1.{operand}" for operand in ("query", "key", "value")
    ]
    assert b"JointAttentionSingle" not in graph.partition(b"TRT_Attention")[0]
    assert report.claimed == len(MATMULS)


def test_what_fails_the_gate_is_not_written(whole):
    with pytest.raises(AccuracyError, match="loosen"):
        calibrate(replace(whole, min_psnr_rgb=99))
    assert not list(whole.output.parent.iterdir())


def test_two_sets_of_scales_switch_where_they_should(whole, statistics, monkeypatch):
    """With late scales that are far too small only the late steps go wrong."""
    recipe = Recipe.default("int8", "onnxruntime", switch_at=2)
    derive = trial_bundles.derive_qparams

    def crushed(*arguments):
        qparams = derive(*arguments)
        return {name: replace(each, late_scale=2.0**-20) for name, each in qparams.items()}

    fair = calibrate(replace(whole, recipe=recipe))
    monkeypatch.setattr(trial_bundles, "derive_qparams", crushed)
    spoilt = calibrate(replace(whole, recipe=recipe, replace=True, min_psnr_rgb=0, max_psnr_drop=99))
    assert spoilt.verdict.velocity[:2] == fair.verdict.velocity[:2]
    assert min(spoilt.verdict.velocity[2:]) > 3 * max(fair.verdict.velocity[2:])
    assert [spec.name for spec in Bundle.open(whole.output).components["step"].inputs][-1] == "late"
    with pytest.raises(BadInputError, match="1 to 3"):
        calibrate(replace(whole, recipe=replace(recipe, switch_at=4), replace=True))
    assert statistics.steps == 4


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_weights_alone_can_be_made_smaller(config, bits):
    report = store_weights_only(replace(config, min_psnr_rgb=10), FORMATS[bits])
    written = Bundle.open(config.output)
    written.verify()
    assert written.card.precision == f"{bits} weights"
    assert report.after["vae_decoder"] < report.before["vae_decoder"]
    assert report.embeddings == {}


def test_a_bundle_that_cannot_be_calibrated_is_refused(config, tmp_path):
    quantised = store_weights_only(replace(config, min_psnr_rgb=10), FORMATS["int8"])
    with pytest.raises(BadInputError, match="expected fp16"):
        calibrate(replace(config, bundle=config.output, output=tmp_path / "again"))
    with pytest.raises(BadInputError, match="exists; choose another --output, or replace"):
        calibrate(config)
    with pytest.raises(BadInputError, match="is the bundle itself"):
        calibrate(replace(config, output=config.bundle, replace=True))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInputError, match="is no bundle"):
        calibrate(replace(config, output=tmp_path / "file", replace=True))
    assert quantised.photos == 1
