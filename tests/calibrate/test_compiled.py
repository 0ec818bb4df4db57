"""What NVIDIA's compiler makes of a quantised network: every product between its pairs runs in eight bits."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.small_system import small_controlled_system, small_dual_prompted_system, small_system

from dit4sr.bench.plans.compiled import compiled_plans
from dit4sr.calibrate.calibrator import calibrate
from dit4sr.calibrate.config import CalibrationConfig, Recipe
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.report import Report
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.plan_account import PlanAccount

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")


@pytest.fixture(
    scope="module",
    params=[small_system, small_controlled_system, small_dual_prompted_system],
    ids=lambda make: make.__name__,
)
def half(request, tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("half") / "bundle"
    export_bundle(request.param(), ExportConfig(path, verify=False))
    return Bundle.open(path)


@pytest.fixture(scope="module")
def calibrated(half, tmp_path_factory) -> tuple[PlanAccount, Report]:
    """The account of a step whose scales were observed, and how many products were to be quantised."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "photos").mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{seed}.png")
    report = calibrate(
        CalibrationConfig(
            half.path,
            folder / "narrow",
            Recipe.default("fp8"),
            images=folder / "photos",
            held_out=folder / "photos",
            steps=1,
            threads=1,
            min_psnr_rgb=0,
            max_psnr_drop=99,
            sensitivity=False,
        )
    )
    add_to(Bundle.open(folder / "narrow"), RtxConfig(components=("step",), branches=(2,)))
    [engine] = Bundle.open(folder / "narrow").manifest.engines
    assert engine.gpu_architecture == "sm_89+sm_120"
    return engine.plan.account, report


def test_every_quantised_product_runs_in_eight_bits(calibrated):
    account, report = calibrated
    assert account.narrow_products == account.quantised_products == report.claimed > 10
    assert account.fused_attentions == account.attentions
    assert account.products["fp16"] == 1  # the last projection, which stays wide


def test_scales_that_stand_in_compile_to_what_observed_ones_do(half, calibrated, tmp_path):
    """Or the eight-bit form could not be judged before a calibration."""
    account, _ = calibrated
    bundle = untried_bundle(half, tmp_path, FP8)
    [found] = [plan.account for plan in compiled_plans(bundle, lambda _: None) if plan.component == "step"]
    assert found == account
