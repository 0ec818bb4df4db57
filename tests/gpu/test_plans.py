"""Real plans of either library on a CUDA device: what fakes that compute elsewhere cannot vouch for.

Needs the extras ``tensorrt`` and ``tensorrt-rtx``, and torch for CUDA: it brings Triton and is the witness.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from support.plan_pictures import photo
from support.small_system import small_system

from dit4sr.export import verify
from dit4sr.export.component import static_sizes
from dit4sr.export.engines.plans.config import Forms
from dit4sr.export.engines.tensorrt import builder as tensorrt
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt_rtx import builder as tensorrt_rtx
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.graph_replay import WARM_RUNS
from dit4sr.runtime.backends.plans.backend import PlanBackend
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt_rtx import NAME as RTX
from dit4sr.runtime.backends.tensorrt_rtx import TARGETS
from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx
from dit4sr.runtime.bundles.bundle import Bundle

pytestmark = pytest.mark.gpu

FORMS = {
    "native": Forms("native", "native"),
    "ours": Forms("plugin", "plugin"),
    "stripped": Forms("native", "plugin"),
}


@pytest.fixture(scope="module", params=[*FORMS, RTX])
def planned(request, tmp_path_factory) -> Bundle:
    """Each form of our operators in TensorRT, one of them without weights, and plans for RTX."""
    system, folder = small_system(), tmp_path_factory.mktemp(request.param)
    major, minor = torch.cuda.get_device_capability()
    target = 10 * major + minor
    if request.param == RTX and target not in TARGETS:
        pytest.skip(f"not run: sm_{target} is no target of TensorRT for RTX")
    path = folder / "bundle"
    export_bundle(system, ExportConfig(path, "fp16"))
    # A handful of tokens may be too few for a fused kernel; that is a matter for the full size.
    if request.param == RTX:
        tensorrt_rtx.add_to(Bundle.open(path), RtxConfig(architectures=(target,), allow_unfused=True))
    else:
        config = TensorRtConfig(
            forms=FORMS[request.param],
            weight_stripped=request.param == "stripped",
            allow_unfused=True,
            timing_cache=folder / "timing",
            time_layers=True,
        )
        tensorrt.add_to(Bundle.open(path), config)
    return Bundle.open(path)


@pytest.fixture(autouse=True)
def _own_kernels(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))


def name_of(bundle: Bundle) -> str:
    return bundle.engines[0].backend


def opened(bundle: Bundle, **options) -> PlanBackend:
    return (TensorRtx if name_of(bundle) == RTX else TensorRt)(**options)


def step_and_feeds(bundle: Bundle):
    step = next(part for part in small_system().network.components() if part.name == "step")
    return step, verify.seeded_inputs(step, static_sizes(bundle.card, step))


def test_every_plan_of_tensorrt_was_held_against_its_graph(planned):
    """Building compares them; what is built elsewhere has nothing to run them on."""
    if name_of(planned) == RTX:
        pytest.skip("not run: plans for RTX are built where they do not run")
    for engine in planned.engines:
        assert engine.verification
        assert engine.plan.report.layers > 0
        assert engine.plan.report.slowest
    assert (planned.path / "engines").is_dir()


def test_step_is_as_exact_recorded_as_run_directly(planned):
    """Also past the warm runs, with inputs that were not there when the graph was recorded."""
    step, feeds = step_and_feeds(planned)
    backend = opened(planned)
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
    for backend in (name_of(planned), "onnxruntime"):
        with Upscaler(planned, backend=backend, use_cache=False) as upscaler:
            pictures.append(
                upscaler.upscale(photo(9, 14), seed=7, settings=Settings(guidance=guidance)).picture
            )
    ours, theirs = (picture.astype(float) for picture in pictures)
    assert np.abs(ours - theirs).mean() < 1


def test_threads_make_the_same_picture(planned):
    with Upscaler(planned, backend=name_of(planned), use_cache=False) as upscaler:
        alone, found = upscaler.upscale(photo(9, 14), seed=7).picture, {}

        def work(index: int) -> None:
            found[index] = upscaler.upscale(photo(9, 14), seed=7).picture

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # Kernels for the very sizes take over in between where they are compiled in the background.
    most = 1 if name_of(planned) == RTX else 0
    for index in range(4):
        assert np.abs(found[index].astype(int) - alone).max() <= most


def test_torch_shares_its_stream_and_tensors(planned):
    """No synchronisation but torch's own, and no copy but those inside a recording."""
    _, feeds = step_and_feeds(planned)
    expected_from = opened(planned)
    expected = expected_from.open(planned, "step").context()
    truth = expected_from.download(
        expected.run({name: expected_from.upload(values) for name, values in feeds.items()})["next_latent"]
    )
    stream = torch.cuda.Stream()
    backend = opened(planned, stream=stream.cuda_stream)
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
    backend = opened(planned)
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
        with Upscaler(sys.argv[1], backend=sys.argv[2], use_cache=False) as upscaler:
            picture = upscaler.upscale(np.full((8, 8, 3), 99, np.uint8)).picture
        assert picture.shape == (32, 32, 3)
        assert not {"torch", "triton", "onnx"} & sys.modules.keys()
    """
    words = [str(planned.path), name_of(planned)]
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), *words], check=True)


def test_kernels_for_rtx_are_kept_and_taken_by_whoever_is_next(planned, tmp_path):
    if name_of(planned) != RTX:
        pytest.skip("not run: TensorRT's plans hold their kernels")
    _, feeds = step_and_feeds(planned)
    files = []
    for _ in range(2):
        backend = opened(planned)
        context = backend.open(planned, "step").context()
        context.run({name: backend.upload(values) for name, values in feeds.items()})
        [file] = (tmp_path / "cache" / RTX).iterdir()
        files.append((file.stat().st_mtime_ns, file.read_bytes()))
    assert files[0] == files[1]
