"""A network with a graph for steps in which part of it is not heard: both graphs get the same eight bits."""

from __future__ import annotations

import numpy as np
import pytest
from support.photos import make_photo
from support.small_system import small_pipeline

from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import quantised_matmuls
from dit4sr.calibrate.graph.step_graph import layer_names, load_lighter_step, load_step
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.calibrate.scales.stand_in import stand_in_qparams
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.export import architectures
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.bundle import Bundle


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Bundle:
    """A control net that is heard in the first half of the steps."""
    controlled = architectures.named("sd3-controlnet")
    network = controlled.random({**controlled.smallest(), "control_end": 0.5}, 5)
    path = tmp_path_factory.mktemp("half") / "bundle"
    export_bundle(small_pipeline(controlled.name, network, 5), ExportConfig(path, verify=False))
    return Bundle.open(path)


def scales(model) -> dict[str, bytes]:
    return {
        name: value.const_value.numpy().tobytes()
        for name, value in model.graph.initializers.items()
        if name.endswith(".scale") and "blocks" in name
    }


def test_a_calibration_quantises_both_by_the_same_scales(half, tmp_path):
    matmuls = find_matmuls(load_step(half), layer_names(half))
    trials = TrialBundles(half, stand_in_qparams(matmuls, FP8), tmp_path / "narrow")
    kept = next(iter(matmuls))
    (tmp_path / "narrow").mkdir()
    bundle = trials.write(tmp_path / "narrow", {kept})
    [lighter] = load_lighter_step(bundle).values()
    own = find_matmuls(next(iter(load_lighter_step(half).values())), layer_names(half))
    assert kept in own
    assert len(quantised_matmuls(lighter)) == len(own) - 1 > 10
    assert bundle.components["step_uncontrolled"].precision == "fp8"
    assert len(scales(lighter)) > 10
    assert scales(lighter).items() <= scales(load_step(bundle)).items()
    with Upscaler(bundle, backend="onnxruntime", device="cpu", threads=1) as upscaler:
        picture = upscaler.upscale(make_photo(8, 8), seed=1, settings=Settings(steps=4)).picture
    assert np.std(picture) > 5


def test_so_does_the_form_that_is_compiled_without_one(half, tmp_path):
    bundle = untried_bundle(half, tmp_path, FP8)
    [lighter] = load_lighter_step(bundle).values()
    assert len(quantised_matmuls(lighter)) > 10
    assert bundle.components["step_uncontrolled"].precision == "fp8"
