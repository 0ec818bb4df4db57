"""The published size through NVIDIA's compiler: what it takes in time and memory, and what it counts.

Each build runs in a process of its own, alone on the machine, as a user's would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.networks import alone, smallest_config

from dit4sr.bench.graph.cost import graph_cost, read_graph, total
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.export import architectures
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.text_encoders.encoders import SD35_TEXT, random_encoders
from dit4sr.export.architectures.text_encoders.t5 import T5Config
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import full_size_pipeline
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
pytestmark = pytest.mark.slow

MOST_SECONDS, MOST_MEMORY = 150, 14e9
HALF_T5 = T5Config(32128, 2048, 64, 5120, 24, 32, 32, 128, 1e-6, "gated-gelu")
"""T5-XXL's depth at half its width: compiling all of it takes about 31 GB."""


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Bundle:
    """The full-size system in halves, with weights by seed."""
    path = tmp_path_factory.mktemp("full") / "fp16"
    export_bundle(full_size_pipeline(0), ExportConfig(path, verify=False))
    return Bundle.open(path)


def built(path: Path, record) -> tuple[float, float]:
    """Build all plans with the command; what that took in seconds, and in bytes of memory."""
    script = "from dit4sr.export.cli import main; main()"
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", script, str(path), "--engine", "tensorrt-rtx"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, memory = time.monotonic() - begin, usage.ru_maxrss * 1024
    record("seconds", round(seconds))
    record("gigabytes", round(memory / 1e9, 1))
    return seconds, memory


def accounts(bundle: Bundle, component: str):
    return [engine.plan.account for engine in bundle.manifest.engines if engine.component == component]


def assert_is_counted(bundle: Bundle, component: str) -> None:
    """FLOPs of all its plans are those of its graph, within a hundredth."""
    layers = architectures.of_bundle(bundle.manifest).layers
    graph = read_graph(bundle.component_file(component))
    for account in accounts(bundle, component):
        assert account.flops == pytest.approx(total(graph_cost(graph, account.sizes, layers)).flops, rel=0.01)


def test_all_components_in_halves(half, tmp_path, record_property):
    # A copy, not links: onnx takes a file of two names for an attack, and the next test reads these.
    shutil.copytree(half.path, tmp_path / "b")
    seconds, memory = built(tmp_path / "b", record_property)
    bundle = Bundle.open(tmp_path / "b")
    assert {engine.component for engine in bundle.manifest.engines} == set(bundle.components)
    for account in accounts(bundle, "step"):
        assert account.fused_attentions == account.attentions == 37
    for component in ("prepare", "step"):
        assert_is_counted(bundle, component)
    assert memory < MOST_MEMORY
    assert seconds < MOST_SECONDS


def test_all_components_in_eight_bits(half, tmp_path, record_property):
    bundle = untried_bundle(half, tmp_path, FP8, share=False)
    seconds, memory = built(bundle.path, record_property)
    bundle = Bundle.open(tmp_path)
    assert {engine.gpu_architecture for engine in bundle.manifest.engines} == {"sm_89+sm_120"}
    for account in accounts(bundle, "step"):
        assert account.fused_attentions == account.attentions == 37
        assert account.narrow_products == account.quantised_products == 289
    assert_is_counted(bundle, "step")
    assert memory < MOST_MEMORY
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize(
    ("name", "config"), [("text_clip_g", SD35_TEXT["text_clip_g"]), ("text_t5", HALF_T5)]
)
def test_deep_text_encoders(tmp_path, record_property, name, config):
    network = Dit4sr(smallest_config(), RandomWeights(read_tensors(smallest_config()), 3), "random")
    encoders = random_encoders(0, {name: config}).components()
    options = ExportConfig(tmp_path / "b", verify=False, components=(name,))
    export_bundle(alone(network, encoders), options)
    _, memory = built(tmp_path / "b", record_property)
    [account] = accounts(Bundle.open(tmp_path / "b"), name)
    assert account.attentions == (24 if name == "text_t5" else 32)
    assert_is_counted(Bundle.open(tmp_path / "b"), name)
    assert memory < MOST_MEMORY
