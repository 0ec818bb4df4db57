"""What NVIDIA's compiler makes of a quantised network: every product between its pairs runs in eight bits."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.small_system import small_system

from dit4sr.calibrate.calibrator import calibrate
from dit4sr.calibrate.config import CalibrationConfig, Recipe
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")


def test_every_quantised_product_runs_in_eight_bits(tmp_path):
    export_bundle(small_system(), ExportConfig(tmp_path / "half", verify=False))
    (tmp_path / "photos").mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{seed}.png")
    report = calibrate(
        CalibrationConfig(
            tmp_path / "half",
            tmp_path / "narrow",
            Recipe.default("fp8"),
            images=tmp_path / "photos",
            held_out=tmp_path / "photos",
            steps=1,
            threads=1,
            min_psnr_rgb=0,
            max_psnr_drop=99,
            sensitivity=False,
        )
    )
    add_to(Bundle.open(tmp_path / "narrow"), RtxConfig(components=("step",), branches=(2,)))
    for engine in Bundle.open(tmp_path / "narrow").manifest.engines:
        assert engine.gpu_architecture == "sm_89+sm_120"
        account = engine.plan.account
        assert account.narrow_products == account.quantised_products == report.claimed > 10
        assert account.products["fp16"] == 1  # the last projection, which stays wide
