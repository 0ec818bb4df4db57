"""Smoothing: exact before rounding, and channels nearer to one another after it."""

from __future__ import annotations

import numpy as np
from support.quantised_system import MATMULS

from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.scales.smoothing import smoothing
from dit4sr.export.architectures.dit4sr.layers import LAYERS


def test_smoothing_alone_changes_nothing(half_bundle, statistics):
    """Powers of two pass through halves unharmed: x W = (x / s)(s W), bit for bit."""
    matmul = find_matmuls(load_graph(half_bundle, STEP), LAYERS)[MATMULS[0]]
    weight = matmul.weight.const_value.numpy()
    channels = statistics.tensors[matmul.activation_names[0]].channels
    divisors = smoothing(channels, [weight])
    assert set(np.log2(divisors) % 1) == {0.0}
    assert divisors.max() > divisors.min()
    x = np.random.default_rng(0).normal(size=(50, len(weight))).astype(np.float16)
    smooth = (x / divisors.astype(np.float16)).astype(np.float64) @ (
        (weight * divisors[:, None]).astype(np.float64)
    )
    assert np.array_equal(smooth, x.astype(np.float64) @ weight.astype(np.float64))


def test_smoothing_brings_channels_together():
    noise = np.random.default_rng(0)
    activation = np.exp2(noise.uniform(-6, 6, 64)).astype(np.float32)
    weight = noise.normal(size=(64, 32)).astype(np.float16)
    divisors = smoothing(activation, [weight])
    spread = [np.ptp(np.log2(values)) for values in (activation, activation / divisors)]
    assert spread[1] < 0.7 * spread[0]
    assert np.isfinite(smoothing(np.zeros(64, np.float32), [weight])).all()
