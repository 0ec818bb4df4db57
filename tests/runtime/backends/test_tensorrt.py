"""Plans on a device that computes in memory: the same pictures, recordings, threads, and every refusal."""

from __future__ import annotations

import gc
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.fake_tensorrt import MACHINE, FakeGpu, install, other
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.plans.context_pool import ContextPool
from dit4sr.runtime.backends.plans.memory import device_array
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS, compatibility
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import (
    BadInputError,
    IncompatibleError,
    IntegrityError,
    MissingDependencyError,
    OutOfMemoryError,
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Bundle:
    """Plans for one tile with and without guidance, and a VAE for pictures of any size."""
    return plan_bundle(tmp_path_factory.mktemp("planned") / "bundle", FakeGpu())


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    found = FakeGpu()
    install(monkeypatch, found)
    return found


def photo(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return (np.stack([rows, columns, rows * columns], axis=-1) * 255).astype(np.uint8)


def restored(bundle: Bundle, backend: str, picture: np.ndarray, **options) -> np.ndarray:
    with Upscaler(bundle, backend=backend, threads=1, use_cache=False) as upscaler:
        assert upscaler.backend.startswith(backend)
        return upscaler.upscale(picture, seed=3, settings=Settings(**options)).picture


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("size", [(8, 8), (12, 10)], ids=["one-tile", "tiles"])
def test_the_same_picture_as_onnxruntime(planned, gpu, size, guidance):
    picture = photo(*size)
    found = restored(planned, "tensorrt", picture, guidance=guidance)
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", picture, guidance=guidance))
    assert gpu.launches > 0
    gc.collect()
    assert gpu.blocks == {}, "memory that nobody gave back"


def test_steps_are_recorded_once_and_not_for_every_picture(planned, gpu):
    with Upscaler(planned, backend="tensorrt", use_cache=False) as upscaler:
        counts = []
        for _ in range(3):
            before = gpu.launches, gpu.downloads, gpu.loads, gpu.executions
            upscaler.upscale(photo(8, 8))
            after = gpu.launches, gpu.downloads, gpu.loads, gpu.executions
            counts.append([b - a for a, b in zip(before, after, strict=True)])
    # Four steps: the first two run directly, two launches check the recording, the others are launches.
    assert [launches for launches, *_ in counts] == [4, 4, 4]
    # Moments, the final latent and the picture leave the device, and nothing else.
    assert [downloads for _, downloads, *_ in counts[1:]] == [3, 3]
    assert [rest for *_, rest in counts[1:]] == [0, 0]


@pytest.mark.parametrize("fault", ["frozen", "refused"])
def test_a_recording_that_cannot_be_trusted_is_not_used(planned, gpu, fault):
    if fault == "frozen":
        gpu.freezes = {"modulation"}
    gpu.cannot_record = fault == "refused"
    with pytest.warns(UserWarning, match="step: its CUDA graph .* is not used"):
        found = restored(planned, "tensorrt", photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


def test_threads_share_weights_and_never_a_context(planned, gpu):
    pictures = [photo(8, 8), photo(8, 9), photo(9, 8)] * 2
    expected = [restored(planned, "onnxruntime", picture) for picture in pictures[:3]] * 2
    with Upscaler(planned, backend="tensorrt", use_cache=False) as upscaler:
        found = {}

        def work(index: int) -> None:
            found[index] = upscaler.upscale(pictures[index], seed=3).picture

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(pictures))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for index, picture in enumerate(expected):
        np.testing.assert_array_equal(found[index], picture)
    assert gpu.loads == len({engine.component for engine in planned.engines})


def test_as_many_contexts_as_runs_at_once_but_one_where_sizes_are_free(planned, gpu):
    backend = TensorRt(gpu)
    inside = threading.Barrier(3, timeout=20)

    class Meeting:
        """Runs that all wait for one another can only end if each has a context."""

        def run(self, *_):
            inside.wait()

    pool = ContextPool(lambda _: Meeting(), None)

    def work() -> None:
        with pool.borrow() as context:
            context.run()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.opened == 3

    decoder = backend.open(planned, "vae_decoder")
    image = {"latent": backend.upload(np.ones((1, 4, 8, 8), np.float32))}
    threads = [threading.Thread(target=decoder.context().run, args=(image,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoder.pool_for(image).opened == 1


def test_rows_that_are_not_aligned_pass_through_memory_that_is(planned, gpu):
    backend = TensorRt(gpu)
    decoder = backend.open(planned, "vae_decoder").context()
    latents = np.random.default_rng(0).normal(size=(3, 1, 4, 5, 5)).astype(np.float32)
    array = backend.upload(latents)
    assert array[1].address % 256
    answers = [backend.download(decoder.run({"latent": array[index]})["image"]) for index in range(3)]
    for values, answer in zip(latents, answers, strict=True):
        alone = backend.download(decoder.run({"latent": backend.upload(values)})["image"])
        np.testing.assert_array_equal(answer, alone)
    targets = backend.empty((3, *answers[0].shape[1:], 1))
    unaligned = replace(targets, address=targets.address + 4, shape=answers[0].shape)
    decoder.run({"latent": array[1]}, {"image": unaligned})
    np.testing.assert_array_equal(backend.download(unaligned), answers[1])


def test_weights_that_are_not_in_the_plan_come_from_the_graph(tmp_path, gpu):
    bundle = plan_bundle(tmp_path / "bundle", gpu, weight_stripped=True)
    assert all(engine.plan.is_stripped for engine in bundle.engines)
    found = restored(bundle, "tensorrt", photo(8, 8))
    np.testing.assert_array_equal(found, restored(bundle, "onnxruntime", photo(8, 8)))
    (bundle.path / bundle.components["step"].graph.path).write_bytes(b"other weights")
    with pytest.raises(IntegrityError, match=r"step\.onnx"):
        restored(bundle, "tensorrt", photo(8, 8))


@pytest.mark.parametrize("keep", [True, False], ids=["all", "one at a time"])
def test_what_came_before_can_be_released_before_stepping(planned, gpu, keep):
    resident = []

    def look(progress) -> None:
        resident.append((progress.stage, *sorted(plan.name for plan in gpu.resident)))

    with Upscaler(planned, backend="tensorrt", keep_components=keep, use_cache=False) as upscaler:
        upscaler.upscale(photo(8, 8), progress=look)
    if keep:
        assert set(resident[1:-1]) == {("step", "prepare", "step", "vae_encoder")}
    else:
        assert set(resident[1:-1]) == {("step", "step")}
        assert resident[-1] == ("vae_decoder", "vae_decoder")
        assert not gpu.resident


def with_engines(bundle: Bundle, **changes) -> Bundle:
    engines = tuple(replace(engine, **changes) for engine in bundle.engines)
    return replace(bundle, manifest=replace(bundle.manifest, engines=engines))


MISMATCHES = {
    "architecture": ({}, {"architecture": "sm_80"}, "built for sm_90 .* running on sm_80; rebuild with"),
    "version": ({}, {"version": "10.16.1.11"}, r"TensorRT 11\.4\.0\.106, but running on TensorRT 10\.16"),
    "driver": ({}, {"driver": "12.8"}, r"the driver speaks CUDA 12\.8 and 13\.0 is needed; update"),
    "platform": ({}, {"platform": "win32-AMD64"}, "running on win32-AMD64"),
    "older kernel": (
        {"plugins": ("dit4sr::DepthwiseInject@01d0",)},
        {},
        f"of digest 01d0, where this version has {DIGESTS['DepthwiseInject']}",
    ),
    "unknown kernel": ({"plugins": ("dit4sr::Sieve@1",)}, {}, "Sieve of digest 1, .* has none"),
}


@pytest.mark.parametrize("kind", MISMATCHES)
def test_what_does_not_fit_is_told_before_a_plan_is_read(planned, gpu, kind):
    engines, machine, message = MISMATCHES[kind]
    gpu.machine = other(**machine)
    bundle = with_engines(planned, **engines)
    with pytest.raises(IncompatibleError, match=message) as refusal:
        choose(bundle, "tensorrt")
    assert "\n" not in str(refusal.value)
    assert choose(bundle).reasons()[0].startswith("tensorrt passed over: built for sm_90")
    assert gpu.loads == 0


ABSENCES = {
    "library": ({"version": ""}, "TensorRT is not installed here; pip install"),
    "bindings": ({"has_bindings": False}, "cuda-bindings is not installed here; pip install"),
    "device": ({"architecture": "", "driver": ""}, "no CUDA device is here; check the driver"),
}


@pytest.mark.parametrize("kind", ABSENCES)
def test_what_is_missing_is_told_before_a_plan_is_read(planned, gpu, kind):
    machine, message = ABSENCES[kind]
    gpu.machine = other(**machine)
    with pytest.raises(MissingDependencyError, match=message):
        choose(planned, "tensorrt")
    assert gpu.loads == 0


@pytest.mark.usefixtures("gpu")
def test_other_reasons_not_to_run(planned):
    stale = with_engines(planned, plan=replace(planned.engines[0].plan, source="0" * 64))
    assert "was built from another graph" in compatibility(stale).obstacle
    part = replace(planned, manifest=replace(planned.manifest, engines=planned.engines[:2]))
    assert "not for prepare, step" in compatibility(part).obstacle
    assert "device cpu was asked for" in compatibility(planned, "cpu").obstacle
    assert compatibility(planned).fits
    assert compatibility(planned).running_on == "sm_90 with TensorRT 11.4.0.106"


@pytest.mark.usefixtures("gpu")
def test_of_plans_for_several_gpus_those_for_this_one_are_taken(planned):
    """Also if those for another are damaged, or of a version that is not here."""
    foreign = tuple(
        replace(
            engine,
            gpu_architecture="sm_80",
            files=(replace(engine.files[0], path="engines/tensorrt-sm80/absent.plan"),),
            versions={**engine.versions, "tensorrt": "10.13.0.35"},
        )
        for engine in planned.engines
    )
    both = replace(planned, manifest=replace(planned.manifest, engines=(*foreign, *planned.engines)))
    assert compatibility(both).fits
    assert compatibility(both).built_for == "sm_90 with TensorRT 11.4.0.106"
    found = restored(both, "tensorrt", photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))
    with pytest.raises(IncompatibleError, match="has no tensorrt engine of step for sm_70"):
        TensorRt(FakeGpu(machine=other(architecture="sm_70"))).open(both, "step")


def test_version_compatible_plans_run_on_newer_versions_only(planned):
    engines = [
        replace(engine, plan=replace(engine.plan, is_version_compatible=True)) for engine in planned.engines
    ]
    lenient = replace(planned, manifest=replace(planned.manifest, engines=tuple(engines)))
    assert compatibility(lenient, machine=other(version="11.10.0.1")).fits
    older = compatibility(lenient, machine=other(version="11.3.0.99"))
    assert "which is older" in older.obstacle
    assert not compatibility(planned, machine=other(version="11.10.0.1")).fits


def test_without_a_gpu_this_machine_says_so(planned):
    """The real look around, which must not construct anything that dies without a driver."""
    fit = compatibility(planned)
    assert not fit.fits
    assert fit.is_missing


def test_sizes_without_a_plan_are_told_with_those_there_are(planned, gpu):
    backend = TensorRt(gpu)
    context = backend.open(planned, "vae_encoder").context()
    expected = "no tensorrt engine of vae_encoder for image 1×3×160×32; expected H 16 to 128, W 16 to 128"
    with pytest.raises(IncompatibleError, match=expected) as refusal:
        context.run({"image": backend.upload(np.zeros((1, 3, 160, 32), np.float32))})
    assert "use backend onnxruntime" in str(refusal.value)
    with pytest.raises(IncompatibleError, match="fixed to 4 steps"):
        restored(planned, "tensorrt", photo(8, 8), steps=5)


def test_what_runs_out_or_breaks_is_one_line(planned, gpu):
    backend = TensorRt(gpu)
    gpu.capacity = 4096
    with pytest.raises(OutOfMemoryError, match="no room for an array: out of memory"):
        backend.empty((64, 64))
    with pytest.raises(OutOfMemoryError, match="no room for an array: out of memory"):
        backend.upload(np.zeros((64, 64)))
    decoder = backend.open(planned, "vae_decoder").context()
    latent = backend.upload(np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(OutOfMemoryError, match="component vae_decoder failed: out of memory"):
        decoder.run({"latent": latent})
    gpu.capacity = 1 << 20
    with pytest.raises(IncompatibleError, match="reads latent as float64; expected float32"):
        decoder.run({"latent": backend.upload(np.zeros((1, 4, 8, 8)))})
    with pytest.raises(BadInputError, match="expected \\(1, 4, 8, 8\\)"):
        backend.write(latent, np.zeros(3))
    gpu.machine = replace(MACHINE, version="11.5")
    with pytest.raises(IncompatibleError, match=r"step.*\.plan cannot be loaded: TensorRT rejects"):
        step = backend.open(planned, "step")
        arrays = {
            spec.name: device_array(gpu, [2 if axis in {"rows", "branches"} else axis for axis in spec.shape])
            for spec in step.inputs
        }
        step.context().run(arrays)


def test_tiles_are_not_halved_where_plans_are_fixed(planned, gpu, monkeypatch):
    """Memory that ran out is what is told, and not that there is no plan for the half."""
    allocate, shortages = gpu.allocate, ["after the first run"]

    def allocate_or_fail(size: int) -> int:
        if progressed and shortages:
            raise RuntimeError(f"CUDA: out of memory {shortages.pop()}")
        return allocate(size)

    monkeypatch.setattr(gpu, "allocate", allocate_or_fail)
    progressed = []
    with Upscaler(planned, backend="tensorrt", use_cache=False) as upscaler:
        with pytest.raises(OutOfMemoryError, match="out of memory after the first run"):
            upscaler.upscale(photo(8, 8), progress=progressed.append)
        upscaler.upscale(photo(8, 8))


def test_too_little_memory_to_record_is_enough_to_run(planned, gpu):
    gpu.capacity = 21_500
    with pytest.warns(UserWarning, match="step: its CUDA graph cannot be made .*out of memory"):
        found = restored(planned, "tensorrt", photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


def test_the_callers_stream_is_used(monkeypatch):
    streams = []
    library = SimpleNamespace(Library=streams.append)
    monkeypatch.setitem(sys.modules, "dit4sr.runtime.backends.tensorrt.library", library)
    TensorRt(stream=77)
    TensorRt()
    assert streams == [77, None]


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": {"tensorrt": "9" * 5000, "cuda": "8" * 5000, "platform": "\u202e"}},
        {"versions": {}},
        {"component": "nobody"},
        {"plugins": ("@", "::@@", "")},
        {"gpu_architecture": ""},
    ],
    ids=range(5),
)
def test_whatever_a_manifest_says_of_its_plans_is_weighed_and_not_believed(planned, changes):
    engines = tuple(replace(engine, **changes) for engine in planned.engines)
    for mixed in (engines, (*planned.engines, *engines)):
        bundle = Bundle(planned.path, replace(planned.manifest, engines=mixed))
        fit = compatibility(bundle, machine=MACHINE)
        assert fit.fits or fit.remedy


def with_bindings(monkeypatch, **changes) -> None:
    """Every plan says so of its tensor ``velocity`` or ``image``."""
    load = FakeGpu.load

    def loaded(self, plan, **options):
        found = load(self, plan, **options)
        found.bindings = tuple(
            replace(binding, **changes) if binding.name in {"velocity", "image"} else binding
            for binding in found.bindings
        )
        return found

    monkeypatch.setattr(FakeGpu, "load", loaded)


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": np.dtype("float64")},
        {"dtype": np.dtype("float16")},
        {"shape": (1, 4, 8)},
        {"shape": (1, 5, 8, 8)},
        {"name": "other"},
        {"is_input": True},
    ],
    ids=str,
)
def test_a_plan_whose_tensors_are_not_the_manifests_is_refused(planned, gpu, monkeypatch, changes):
    with_bindings(monkeypatch, **changes)
    with pytest.raises(IncompatibleError, match=r"its plan has .* as the manifest says"):
        restored(planned, "tensorrt", photo(8, 8))
    assert gpu.launches == 0


@pytest.mark.parametrize("size", [(7, 8), (9, 8)], ids=["less", "more"])
@pytest.mark.parametrize("runs", [0, 5], ids=["direct", "recorded"])
def test_a_place_of_another_size_than_the_plans_answer_is_refused(planned, gpu, size, runs):
    """What the device would write over is somebody else's."""
    backend = TensorRt(gpu)
    context = backend.open(planned, "step").context()
    axes = {"rows": 2, "branches": 2, "images": 1, "tokens": 16, "text": 5}
    given = {
        spec.name: backend.upload(np.zeros([axes.get(axis, axis) for axis in spec.shape], np.float32))
        for spec in backend.open(planned, "step").inputs
    }
    good = {name: backend.empty((1, 4, 8, 8)) for name in ("next_latent", "velocity")}
    for _ in range(runs):
        context.run(given, good)
    with pytest.raises(IncompatibleError, match="step makes velocity as float32 of 1×4×8×8; expected"):
        context.run(given, good | {"velocity": backend.empty((1, 4, *size))})


def test_a_plan_that_decides_a_size_while_it_runs_is_refused(planned, gpu, monkeypatch):
    monkeypatch.setattr("support.fake_tensorrt.FakeExecution.shape", lambda *_: (1, 3, -1, 32))
    backend = TensorRt(gpu)
    latent = backend.upload(np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(IncompatibleError, match="vae_decoder decides the size of image while it runs"):
        backend.open(planned, "vae_decoder").context().run({"latent": latent})
