"""Text encoders with smaller weights: how far their embeddings move, output by output."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.encoders import TINY, write_encoder
from support.networks import alone, smallest_config

from dit4sr.calibrate.encoders import embedding_errors
from dit4sr.calibrate.graph.bundle_rewriting import rewrite_bundle
from dit4sr.calibrate.graph.weights_only import weights_only_changes
from dit4sr.calibrate.scales.formats import FORMATS
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.text_encoders.clip import ClipConfig
from dit4sr.export.architectures.text_encoders.encoders import checkpoint_encoders
from dit4sr.export.architectures.text_encoders.t5 import T5Config
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.bundle import Bundle

LARGE_ENOUGH = {
    "text_clip_l": ClipConfig(60, 32, 64, 1, 2, 12, 8, "quick_gelu", 1e-5, 2),
    "text_t5": T5Config(50, 64, 16, 64, 1, 4, 32, 128, 1e-6, "gated-gelu"),
}
"""With weights that are worth their scales, in whole blocks."""
NAMES = tuple(LARGE_ENOUGH)
OUTPUTS = {"text_clip_l text", "text_clip_l pooled", "text_t5 text"}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> Bundle:
    """Encoders of both kinds, of a few kilobytes each."""
    folder, config = tmp_path_factory.mktemp("encoders"), replace(smallest_config(), joint_attention_dim=64)
    with pytest.MonkeyPatch.context() as patch:
        for name, sizes in LARGE_ENOUGH.items():
            patch.setitem(TINY, name, sizes)
            write_encoder(folder / "checkpoint", name)
    network = Dit4sr(config, RandomWeights(read_tensors(config), 3), "random")
    parts = checkpoint_encoders(folder / "checkpoint").components()
    options = ExportConfig(folder / "bundle", verify=False, components=NAMES)
    export_bundle(alone(network, parts), options)
    return Bundle.open(folder / "bundle")


def test_each_output_says_how_far_it_moved(encoders, tmp_path):
    errors = {}
    for bits in ("int8", "fp8", "int4"):
        smaller = rewrite_bundle(encoders, tmp_path / bits, weights_only_changes(encoders, FORMATS[bits]))
        errors[bits] = embedding_errors(encoders, smaller, threads=1)
        assert errors[bits].keys() == OUTPUTS
    for output in OUTPUTS:
        assert 0 < errors["int8"][output] < errors["fp8"][output] < 0.5
    # CLIP's rows come from the layer before its last, here the embedding, which keeps its eight bits.
    assert errors["int4"]["text_clip_l text"] == errors["int8"]["text_clip_l text"]
    assert errors["int4"]["text_t5 text"] > errors["fp8"]["text_t5 text"]


def test_what_did_not_change_has_not_moved(encoders):
    assert set(embedding_errors(encoders, encoders, threads=1).values()) == {0.0}
