"""Graphs in eight bits without a calibration: all pairs are there, and no two activations share a scale."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import pytest

from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import quantised_matmuls
from dit4sr.calibrate.graph.step_graph import layer_names, load_step
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.calibrate.scales.stand_in import stand_in_qparams
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError


def test_every_matmul_is_between_its_pairs(half_bundle, tmp_path):
    bundle = untried_bundle(half_bundle, tmp_path, FP8)
    model = load_step(bundle)
    wanted = find_matmuls(load_step(half_bundle), layer_names(half_bundle))
    assert len(quantised_matmuls(model)) == len(wanted) > 5
    assert (bundle.card.precision, bundle.components["step"].precision) == ("fp8", "fp8")
    stored = [value for value in model.graph.initializers.values() if value.dtype == ir.DataType.FLOAT8E4M3FN]
    assert len([value for value in stored if value.shape and len(value.shape) == 2]) == len(wanted)


def test_no_two_activations_share_a_scale(half_bundle):
    matmuls = find_matmuls(load_step(half_bundle), layer_names(half_bundle))
    scales = {}
    for name, params in stand_in_qparams(matmuls, FP8).items():
        scales.setdefault(matmuls[name].activation_names[0], set()).add(params.activation_scale)
    assert all(len(found) == 1 for found in scales.values())
    assert len({scale for found in scales.values() for scale in found}) == len(scales) > 5


def test_other_bundles_stay_as_they_were(half_bundle, tmp_path):
    before = sorted(path for path in half_bundle.path.rglob("*"))
    untried_bundle(half_bundle, tmp_path, FP8)
    assert sorted(path for path in half_bundle.path.rglob("*")) == before
    half_bundle.verify()


def test_eight_bits_are_made_of_halves_alone(half_bundle, tmp_path):
    manifest = replace(half_bundle.manifest, model=replace(half_bundle.card, precision="fp32"))
    with pytest.raises(BadInputError, match="is fp32; expected fp16"):
        untried_bundle(Bundle(half_bundle.path, manifest), tmp_path, FP8)
    assert list(tmp_path.iterdir()) == []
