"""Estimates: counted where a bundle is large, tried out where it is small, and never claimed otherwise."""

from __future__ import annotations

import pytest

from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.costs import estimate
from dit4sr.runtime.costs.bundle_costs import BundleCosts
from dit4sr.runtime.costs.estimate import Estimate, Estimator
from dit4sr.runtime.costs.probe import Sample
from dit4sr.runtime.costs.rates import Rates
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.plan import ENGINES, Plan
from dit4sr.runtime.settings import Settings, TileSizes

RATES = Rates(arithmetic=1e9, copying=1e8)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(tiny_bundle())


@pytest.fixture
def large(monkeypatch):
    """Every bundle passes for a large one, on a machine of known rates."""
    monkeypatch.setattr(estimate, "SMALL_BYTES", 0)
    monkeypatch.setattr(estimate, "measured_rates", lambda _threads: RATES)


def planned(bundle: Bundle, side: int, settings: Settings) -> tuple[Plan, Geometry]:
    card = bundle.card
    tile = card.training_tile * card.vae_factor
    geometry = Geometry.of((side, side), scale=4, tile=tile, factor=card.vae_factor, most_pixels=1 << 30)
    return Plan.of(geometry, settings, card, TileSizes.of(settings, card)), geometry


def estimated(bundle: Bundle, side: int = 64, *, keep: bool = False, **choices: object) -> Estimate:
    estimator = Estimator(bundle, OnnxRuntime("cpu"), keep_components=keep)
    return estimator.of(*planned(bundle, side, Settings(**choices)))


@pytest.mark.usefixtures("large")
def test_a_large_bundle_is_counted_and_set_against_the_rates(bundle):
    found = estimated(bundle, steps=3)
    plan, _ = planned(bundle, 64, Settings(steps=3))
    demands = BundleCosts(bundle).demands(plan)
    for name in ENGINES:
        each = demands[name].flops / 1e9 + demands[name].moved_bytes / 1e8
        assert found.seconds[name] == pytest.approx(each * (3 if name == "step" else 1))
    assert found.basis == "predicted"
    assert found.factors[0] == "arithmetic at 1 GFLOP/s, measured on ONNX Runtime's MatMul"


@pytest.mark.usefixtures("large")
def test_steps_outside_the_guidance_interval_cost_half(bundle):
    guided = estimated(bundle, steps=10, guidance=4.0)
    partly = estimated(bundle, steps=10, guidance=4.0, guidance_interval=(0.0, 0.85))
    plan, _ = planned(bundle, 64, Settings(steps=10, guidance=4.0, guidance_interval=(0.0, 0.85)))
    rows = [2 if plan.schedule.guidance.is_on(float(level)) else 1 for level in plan.schedule.levels[:-1]]
    assert 10 < sum(rows) < 20
    assert partly.seconds["step"] == pytest.approx(guided.seconds["step"] * sum(rows) / 20)


@pytest.mark.usefixtures("large")
def test_no_time_is_claimed_for_a_device_whose_rates_nobody_knows(bundle):
    backend = OnnxRuntime("cuda")
    found = Estimator(bundle, backend).of(*planned(bundle, 64, Settings()))
    assert (found.seconds, found.total_seconds, found.basis) == (None, None, "")
    assert found.factors[0] == "no time is predicted for onnxruntime/cuda: measure it with dit4sr-bench"


def test_what_was_tried_out_is_measured_and_grows_with_the_picture(bundle, monkeypatch):
    tried = []

    def probe(_bundle, _backend, sizes):
        tried.append(sizes)
        return {name: Sample(1.0, 2.0) for name in sizes}

    monkeypatch.setattr(estimate, "probe", probe)
    estimator = Estimator(bundle, OnnxRuntime("cpu"))
    small = estimator.of(*planned(bundle, 64, Settings(steps=5)))
    assert small.seconds == {
        "opening": 4.0,
        "vae_encoder": 2.0,
        "prepare": 2.0,
        "step": 10.0,
        "vae_decoder": 2.0,
    }
    assert small.basis == "measured"
    large = estimator.of(*planned(bundle, 128, Settings(steps=5)))
    assert len(tried) == 1
    # Nine tiles of the network's, and one of the VAE's of four times the area.
    assert large.seconds["step"] == pytest.approx(9 * small.seconds["step"])
    assert large.seconds["vae_decoder"] == pytest.approx(4 * small.seconds["vae_decoder"], rel=0.05)


@pytest.mark.usefixtures("large")
def test_memory_follows_the_tile_and_what_is_kept(bundle):
    whole, kept = estimated(bundle, 64), estimated(bundle, 64, keep=True)
    assert kept.memory_bytes > whole.memory_bytes
    # The VAE's tiles stop growing at twice the network's; then only the pictures do.
    tiled, larger = estimated(bundle, 128), estimated(bundle, 256)
    assert tiled.memory_bytes > whole.memory_bytes + 100e6
    assert larger.memory_bytes < tiled.memory_bytes + 50e6
    assert larger.output_bytes == 3 * 1024 * 1024
