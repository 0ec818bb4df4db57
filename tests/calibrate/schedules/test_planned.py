"""A search on plans, by the fake of TensorRT: what a preset enqueues is what it says it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fake_tensorrt import FakeGpu, install, tools
from support.networks import smallest_config
from support.small_system import small_pipeline

from dit4sr.calibrate.schedules.config import ScheduleConfig
from dit4sr.calibrate.schedules.finder import find_schedules
from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.engines.tensorrt.builder import add_to
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle

STEPS = 6
FULL_WIDTH = TransformerConfig(
    num_layers=2, dual_attention_layers=(0,), sample_size=16, pos_embed_max_size=24
)


@pytest.fixture(
    params=["two blocks", pytest.param("two blocks of full width", marks=pytest.mark.slow)],
)
def planned(request, tmp_path, monkeypatch) -> tuple[Bundle, FakeGpu]:
    """A random network with plans for guided and unguided steps."""
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    config = FULL_WIDTH if "width" in request.param else smallest_config()
    network = Dit4sr(config, RandomWeights(read_tensors(config), 5), "random")
    path, gpu = tmp_path / "bundle", FakeGpu(capacity=8 << 30)
    export_bundle(small_pipeline(ARCHITECTURE.name, network), ExportConfig(path, verify=False))
    options = TensorRtConfig(timing_cache=tmp_path / "timing")
    add_to(Bundle.open(path), options, tools=tools(gpu))
    install(monkeypatch, gpu)
    return Bundle.open(path), gpu


@pytest.fixture
def photos(planned, tmp_path) -> list[Path]:
    """A photo of one tile to search on, and one to judge by."""
    card = planned[0].card
    side = card.training_tile * card.vae_factor // 4
    folders = []
    for number in range(2):
        folder = tmp_path / f"photos{number}"
        folder.mkdir()
        pixels = np.random.default_rng(number).integers(40, 210, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        folders.append(folder)
    return folders


def test_a_preset_enqueues_what_it_runs(planned, photos):
    bundle, gpu = planned
    config = ScheduleConfig(
        bundle.path,
        images=photos[0],
        held_out=photos[1],
        steps=STEPS,
        guidance=4.0,
        min_psnr=18.0,
        backend="tensorrt",
        has_timing=False,
    )
    record = find_schedules(config)
    assert record.backend == "tensorrt/cuda"
    assert record.rows[0].rows == 2 * STEPS
    found = Bundle.open(bundle.path, trust_engines=True)
    picture = np.asarray(Image.open(photos[1] / "1.png"))
    schedules = {preset.name: Settings(preset=preset.name) for preset in found.card.presets}
    schedules["by hand"] = Settings(velocities="ghuxhu", guidance=4.0)
    with Upscaler(found, backend="tensorrt", use_cache=False) as upscaler:
        for name, settings in schedules.items():
            schedule = settings.schedule(found.card)
            for _ in range(3):  # until every size of run is recorded
                upscaler.upscale(picture, settings=settings)
            before = gpu.launches
            upscaler.upscale(picture, settings=settings)
            assert gpu.launches - before == schedule.steps, name
            assert schedule.steps == sum(letter in "gu" for letter in schedule.to_json()["velocities"])
