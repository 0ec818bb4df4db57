"""The published architecture: every MatMul between its Q/DQ pair, counted from the graph, and memory.

How many MatMuls there are follows from the layers alone, so the model in the box shows that the count holds;
the published depth and size take minutes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.networks import alone

from dit4sr.calibrate.graph.bundle_rewriting import load_graph
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import insert_qdq, quantised_matmuls
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.calibrate.scales.qparams import QuantParams
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import full_size_pipeline
from dit4sr.export.tiny.recipe import TRANSFORMER
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle

MOST_MEMORY = 20e9


def matmuls_of(config: TransformerConfig) -> int:
    """Three streams of two projections and two MLPs; the last block's text is only read."""
    layers = range(config.num_layers)
    dual = sum(config.is_dual(layer) for layer in layers)
    return 10 * (config.num_layers - 1) + 7 + 4 * dual


def counted_pairs(bundle: Bundle) -> int:
    """MatMuls that a graph shows between Q/DQ pairs once all are quantised, with scales of no account."""
    model = load_graph(bundle, STEP)
    scale = np.float32(0.5)
    insert_qdq(model, {name: QuantParams(FP8, 0.5, scale) for name in find_matmuls(model, LAYERS)}, LAYERS)
    return len(quantised_matmuls(model))


def test_every_matmul_of_the_model_in_the_box_can_be_claimed():
    assert counted_pairs(Bundle.open(tiny_bundle())) == matmuls_of(TRANSFORMER)


@pytest.mark.slow
def test_every_matmul_of_the_published_depth_can_be_claimed(tmp_path: Path):
    config = TransformerConfig(
        num_attention_heads=1,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        pos_embed_max_size=12,
        sample_size=16,
    )
    network = Dit4sr(config, RandomWeights(read_tensors(config), 0), "random")
    options = ExportConfig(tmp_path / "narrow", verify=False, components=(STEP,))
    export_bundle(alone(network), options)
    assert counted_pairs(Bundle.open(tmp_path / "narrow")) == matmuls_of(TransformerConfig()) == 289


@pytest.mark.slow
def test_two_steps_calibrate_within_twenty_gigabytes(tmp_path: Path):
    system = full_size_pipeline(0)
    options = ExportConfig(tmp_path / "fp16", verify=False)
    export_bundle(system, options)
    photo = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "noise.png")
    # Random weights make no picture to be true to.
    limits = ["--min-psnr", "0", "--max-psnr-drop", "99", "--no-sensitivity", "--steps", "2"]
    arguments = [
        tmp_path / "fp16",
        "--images",
        tmp_path / "photos",
        "-o",
        tmp_path / "fp8",
        *limits,
        "--json",
    ]
    program = "import sys; from dit4sr.calibrate.cli import main; main()"
    printed = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    report = json.loads(printed.stdout)
    assert report["claimed"] == len(report["decisions"]) == matmuls_of(TransformerConfig())
    assert report["after"]["all"] < 0.55 * report["before"]["all"]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY
