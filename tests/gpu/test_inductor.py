"""Inductor engines on a CUDA device: our Triton kernels inside a package, under a CUDA graph."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from support.small_system import small_system

from dit4sr.export import verify
from dit4sr.export.component import static_sizes
from dit4sr.export.engines.inductor.builder import add_to
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.inductor.backend import Inductor
from dit4sr.runtime.backends.inductor.compatibility import gpu_target
from dit4sr.runtime.bundles.bundle import Bundle

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", params=["fp16", "bf16"])
def compiled(request, tmp_path_factory):
    system = small_system()
    path = tmp_path_factory.mktemp(request.param) / "bundle"
    config = ExportConfig(path, request.param, verify=False)
    export_bundle(system, config)
    add_to(Bundle.open(path), system, InductorConfig(device="cuda"))
    return Bundle.open(path)


def test_step_is_as_exact_replayed_as_run_directly(compiled):
    """Also past the warm runs, with inputs that were not there when the graph was recorded."""
    step = next(part for part in small_system().network.components() if part.name == "step")
    feeds = verify.seeded_inputs(step, static_sizes(compiled.card, step))
    backend = Inductor(gpu_target())
    context = backend.open(compiled, "step").context()
    dtype = verify.DTYPES[compiled.card.precision]
    for run in range(WARM_RUNS + 3):
        feeds["latent"] = np.random.default_rng(run).standard_normal(feeds["latent"].shape, dtype=np.float32)
        answers = context.run({name: backend.upload(values) for name, values in feeds.items()})
        exact = verify.torch_runner(step, torch.float64)(feeds)
        plain = verify.torch_runner(step, dtype)(feeds)
        for name, truth, rounded in zip(step.outputs, exact, plain, strict=True):
            found = backend.download(answers[name])
            assert verify.relative_error(found, truth) <= 2 * verify.relative_error(rounded, truth)
    assert list(context._replays.values()) != [None]


def test_a_picture_is_that_of_the_graphs_in_fp32(compiled):
    rows, columns = np.mgrid[0:9, 0:14] / 14
    photo = (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)
    pictures = []
    for backend in ("inductor", "onnxruntime"):
        with Upscaler(compiled, backend=backend, use_cache=False) as upscaler:
            pictures.append(upscaler.upscale(photo, seed=7, settings=Settings(guidance=3.0)).picture)
    ours, theirs = (picture.astype(float) for picture in pictures)
    assert np.abs(ours - theirs).mean() < 1


def test_the_kernels_lie_in_the_package(compiled):
    """A process without anything of ours loads and names the weights; nothing is left to be registered."""
    engine = next(engine for engine in compiled.engines if engine.component == "step")
    script = """
        import sys, torch
        runner = torch._inductor.aoti_load_package(sys.argv[1], run_single_threaded=True)
        assert runner.get_constant_fqns()
        assert not [name for name in sys.modules if name.startswith("dit4sr")]
    """
    package = compiled.path / engine.files[0].path
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(package)], check=True)
