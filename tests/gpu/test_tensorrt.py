"""Real plans on a CUDA device: what the fake, which computes through ONNX Runtime, cannot vouch for.

Needs the ``tensorrt`` extra, and torch for CUDA, which brings Triton and is the witness.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from support.small_system import small_system

from dit4sr.export import verify
from dit4sr.export.component import static_sizes
from dit4sr.export.engines.plans.config import Forms
from dit4sr.export.engines.tensorrt.builder import add_to
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.bundles.bundle import Bundle

pytestmark = pytest.mark.gpu

FORMS = {
    "native": Forms("native", "native"),
    "ours": Forms("plugin", "plugin"),
    "stripped": Forms("native", "plugin"),
}


@pytest.fixture(scope="module", params=FORMS)
def planned(request, tmp_path_factory) -> Bundle:
    """Each form of our operators, one of them without weights. Building compares plans with their graphs."""
    system, folder = small_system(), tmp_path_factory.mktemp(request.param)
    path = folder / "bundle"
    export_bundle(
        system,
        ExportConfig(path, "fp16"),
    )
    config = TensorRtConfig(
        forms=FORMS[request.param],
        weight_stripped=request.param == "stripped",
        # A handful of tokens may be too few for a fused kernel; that is a matter for the full size.
        allow_unfused=True,
        timing_cache=folder / "timing",
        time_layers=True,
    )
    add_to(Bundle.open(path), config)
    return Bundle.open(path)


def step_and_feeds(bundle: Bundle):
    step = next(part for part in small_system().network.components() if part.name == "step")
    return step, verify.seeded_inputs(step, static_sizes(bundle.card, step))


def photo() -> np.ndarray:
    rows, columns = np.mgrid[0:9, 0:14] / 14
    return (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)


def test_every_plan_was_held_against_its_graph(planned):
    for engine in planned.engines:
        assert engine.verification
        assert engine.plan.report.layers > 0
        assert engine.plan.report.slowest
    assert (planned.path / "engines").is_dir()


def test_step_is_as_exact_recorded_as_run_directly(planned):
    """Also past the warm runs, with inputs that were not there when the graph was recorded."""
    step, feeds = step_and_feeds(planned)
    backend = TensorRt()
    engine = backend.open(planned, "step")
    context = engine.context()
    targets = {name: backend.empty(feeds["latent"].shape) for name in step.outputs}
    for run in range(WARM_RUNS + 3):
        feeds["latent"] = np.random.default_rng(run).standard_normal(feeds["latent"].shape, dtype=np.float32)
        arrays = {name: backend.upload(values) for name, values in feeds.items()}
        context.run(arrays, targets)
        exact = verify.torch_runner(step, torch.float64)(feeds)
        plain = verify.torch_runner(step, torch.float16)(feeds)
        for name, truth, rounded in zip(step.outputs, exact, plain, strict=True):
            found = backend.download(targets[name])
            assert verify.relative_error(found, truth) <= 2 * verify.relative_error(rounded, truth)
    with engine.pool_for(arrays).borrow() as pooled:
        assert pooled.is_recorded


@pytest.mark.parametrize("guidance", [8.0, 1.0], ids=["guided", "unguided"])
def test_a_picture_is_that_of_the_graphs(planned, guidance):
    pictures = []
    for backend in ("tensorrt", "onnxruntime"):
        with Upscaler(planned, backend=backend, use_cache=False) as upscaler:
            pictures.append(upscaler.upscale(photo(), seed=7, settings=Settings(guidance=guidance)).picture)
    ours, theirs = (picture.astype(float) for picture in pictures)
    assert np.abs(ours - theirs).mean() < 1


def test_threads_make_the_same_picture(planned):
    with Upscaler(planned, backend="tensorrt", use_cache=False) as upscaler:
        alone, found = upscaler.upscale(photo(), seed=7).picture, {}

        def work(index: int) -> None:
            found[index] = upscaler.upscale(photo(), seed=7).picture

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for index in range(4):
        np.testing.assert_array_equal(found[index], alone)


def test_torch_shares_its_stream_and_tensors(planned):
    """No synchronisation but torch's own, and no copy but those inside a recording."""
    _, feeds = step_and_feeds(planned)
    expected_from = TensorRt()
    expected = expected_from.open(planned, "step").context()
    truth = expected_from.download(
        expected.run({name: expected_from.upload(values) for name, values in feeds.items()})["next_latent"]
    )
    stream = torch.cuda.Stream()
    backend = TensorRt(stream=stream.cuda_stream)
    context = backend.open(planned, "step").context()
    with torch.cuda.stream(stream):
        tensors = {name: torch.from_numpy(values).cuda() for name, values in feeds.items()}
        answers = context.run({name: backend.borrow(tensor) for name, tensor in tensors.items()})
        by_dlpack = torch.from_dlpack(backend.lend(answers["next_latent"]))
        by_interface = torch.as_tensor(backend.lend(answers["next_latent"]), device="cuda")
        doubled = (by_dlpack + by_interface).cpu().numpy()
    np.testing.assert_array_equal(doubled, 2 * truth)


def test_memory_stays_flat_over_many_launches(planned):
    """TensorRT leaks plugins when shapes change (NVIDIA/TensorRT#4849); here none do."""
    step, feeds = step_and_feeds(planned)
    backend = TensorRt()
    context = backend.open(planned, "step").context()
    arrays = {name: backend.upload(values) for name, values in feeds.items()}
    targets = {name: backend.empty(feeds["latent"].shape) for name in step.outputs}

    def free_after(runs: int) -> int:
        for _ in range(runs):
            context.run(arrays, targets)
        backend.download(targets["velocity"])
        return torch.cuda.mem_get_info()[0]

    warm = free_after(WARM_RUNS + 10)
    assert free_after(2000) >= warm - (8 << 20)


def test_running_takes_neither_torch_nor_triton(planned):
    """The kernels lie in the plan."""
    script = """
        import sys
        import numpy as np
        from dit4sr.runtime import Upscaler
        with Upscaler(sys.argv[1], backend="tensorrt", use_cache=False) as upscaler:
            picture = upscaler.upscale(np.full((8, 8, 3), 99, np.uint8)).picture
        assert picture.shape == (32, 32, 3)
        assert not {"torch", "triton", "onnx"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(planned.path)], check=True)
