"""Plans on a device that computes in memory, by both libraries: pictures, recordings, threads, refusals."""

from __future__ import annotations

import gc
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.fake_tensorrt import FakeGpu
from support.plan_pictures import photo, restored

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.plans.context_pool import ContextPool
from dit4sr.runtime.errors import BadInputError, IncompatibleError, OutOfMemoryError


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("size", [(8, 8), (12, 10)], ids=["one-tile", "tiles"])
def test_the_same_picture_as_onnxruntime(library, planned, gpu, size, guidance):
    picture = photo(*size)
    found = restored(planned, library.name, picture, guidance=guidance)
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", picture, guidance=guidance))
    assert gpu.launches > 0
    gc.collect()
    assert gpu.blocks == {}, "memory that nobody gave back"


def test_steps_are_recorded_once_and_not_for_every_picture(library, planned, gpu):
    with Upscaler(planned, backend=library.name, use_cache=False) as upscaler:
        counts = []
        for _ in range(3):
            before = gpu.launches, gpu.downloads, gpu.loads, gpu.executions
            upscaler.upscale(photo(8, 8))
            after = gpu.launches, gpu.downloads, gpu.loads, gpu.executions
            counts.append([b - a for a, b in zip(before, after, strict=True)])
    # Four steps: the first two run directly, two launches check the recording, the others are launches.
    assert [launches for launches, *_ in counts] == [4 + library.launches_to_record, 4, 4]
    # Moments, the final latent and the picture leave the device, and nothing else.
    assert [downloads for _, downloads, *_ in counts[1:]] == [3, 3]
    assert [rest for *_, rest in counts[1:]] == [0, 0]


@pytest.mark.parametrize(
    ("velocities", "size", "runs"),
    [("gggu", (8, 8), 4), ("ghgxuhu", (8, 8), 4), ("ghhgxxuhhhu", (8, 8), 4), ("ghgxuhu", (12, 10), 4)],
)
def test_a_step_that_uses_a_velocity_again_is_not_enqueued(library, planned, gpu, velocities, size, runs):
    picture, ticks = photo(*size), []
    settings = Settings(velocities=velocities, guidance=3.0)
    with Upscaler(planned, backend=library.name, use_cache=False) as upscaler:
        for _ in range(3):  # until runs of both sizes are recorded
            upscaler.upscale(picture, seed=3, settings=settings)
        before = gpu.launches, gpu.executions, gpu.downloads
        found = upscaler.upscale(picture, seed=3, settings=settings, progress=ticks.append).picture
        after = gpu.launches, gpu.executions, gpu.downloads
    expected = restored(planned, "onnxruntime", picture, velocities=velocities, guidance=3.0)
    assert np.abs(found.astype(int) - expected).max() <= 1
    tiles = len(ticks[0].plan.tiling.tiles)
    assert [tick.stage for tick in ticks].count("step") == runs * tiles
    if tiles == 1:
        # Every run is one launch; nothing but moments, latent and picture leaves the device.
        assert [b - a for a, b in zip(before, after, strict=True)] == [runs, 0, 3]


@pytest.mark.parametrize("fault", ["frozen", "refused"])
def test_a_recording_that_cannot_be_trusted_is_not_used(library, planned, gpu, fault):
    if fault == "frozen":
        gpu.freezes = {"modulation"}
    gpu.cannot_record = fault == "refused"
    with pytest.warns(UserWarning, match="step: its CUDA graph .* is not used"):
        found = restored(planned, library.name, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


def test_threads_share_weights_and_never_a_context(library, planned, gpu):
    pictures = [photo(8, 8), photo(8, 9), photo(9, 8)] * 2
    expected = [restored(planned, "onnxruntime", picture) for picture in pictures[:3]] * 2
    with Upscaler(planned, backend=library.name, use_cache=False) as upscaler:
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


def test_as_many_contexts_as_runs_at_once_but_one_where_sizes_are_free(library, planned, gpu):
    backend = library.backend(gpu)
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


def test_rows_that_are_not_aligned_pass_through_memory_that_is(library, planned, gpu):
    backend = library.backend(gpu)
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


@pytest.mark.parametrize("keep", [True, False], ids=["all", "one at a time"])
def test_what_came_before_can_be_released_before_stepping(library, planned, gpu, keep):
    resident = []

    def look(progress) -> None:
        resident.append((progress.stage, *sorted(plan.name for plan in gpu.resident)))

    with Upscaler(planned, backend=library.name, keep_components=keep, use_cache=False) as upscaler:
        upscaler.upscale(photo(8, 8), progress=look)
    if keep:
        assert set(resident[1:-1]) == {("step", "prepare", "step", "vae_encoder")}
    else:
        assert set(resident[1:-1]) == {("step", "step")}
        assert resident[-1] == ("vae_decoder", "vae_decoder")
        assert not gpu.resident


def test_sizes_without_a_plan_are_told_with_those_there_are(library, planned, gpu):
    backend = library.backend(gpu)
    context = backend.open(planned, "vae_encoder").context()
    expected = (
        f"no {library.name} engine of vae_encoder for image 1×3×160×32; expected H 16 to 128, W 16 to 128"
    )
    with pytest.raises(IncompatibleError, match=expected) as refusal:
        context.run({"image": backend.upload(np.zeros((1, 3, 160, 32), np.float32))})
    assert "use backend onnxruntime" in str(refusal.value)
    with pytest.raises(IncompatibleError, match="fixed to 4 steps"):
        restored(planned, library.name, photo(8, 8), steps=5)


def test_what_runs_out_or_breaks_is_one_line(library, planned, gpu):
    backend = library.backend(gpu)
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


def test_tiles_are_not_halved_where_plans_are_fixed(library, planned, gpu, monkeypatch):
    """Memory that ran out is what is told, and not that there is no plan for the half."""
    allocate, shortages = gpu.allocate, ["after the first run"]

    def allocate_or_fail(size: int) -> int:
        if progressed and shortages:
            raise RuntimeError(f"CUDA: out of memory {shortages.pop()}")
        return allocate(size)

    monkeypatch.setattr(gpu, "allocate", allocate_or_fail)
    progressed = []
    with Upscaler(planned, backend=library.name, use_cache=False) as upscaler:
        with pytest.raises(OutOfMemoryError, match="out of memory after the first run"):
            upscaler.upscale(photo(8, 8), progress=progressed.append)
        upscaler.upscale(photo(8, 8))


def test_too_little_memory_to_record_is_enough_to_run(library, planned, gpu):
    gpu.capacity = 21_500
    with pytest.warns(UserWarning, match="step: its CUDA graph cannot be made .*out of memory"):
        found = restored(planned, library.name, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


def test_the_callers_stream_is_used(library, monkeypatch):
    streams = []
    module = f"dit4sr.runtime.backends.{library.name.replace('-', '_')}.library"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(Library=streams.append))
    library.backend(stream=77)
    library.backend()
    assert streams == [77, None]


def with_bindings(monkeypatch, kind: type[FakeGpu], **changes) -> None:
    """Every plan says so of its tensor ``velocity`` or ``image``."""
    load = kind.load

    def loaded(self, *arguments, **options):
        found = load(self, *arguments, **options)
        found.bindings = tuple(
            replace(binding, **changes) if binding.name in {"velocity", "image"} else binding
            for binding in found.bindings
        )
        return found

    monkeypatch.setattr(kind, "load", loaded)


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
def test_a_plan_whose_tensors_are_not_the_manifests_is_refused(library, planned, gpu, monkeypatch, changes):
    with_bindings(monkeypatch, library.gpu, **changes)
    with pytest.raises(IncompatibleError, match=r"its plan has .* as the manifest says"):
        restored(planned, library.name, photo(8, 8))
    assert gpu.launches == 0


@pytest.mark.parametrize("size", [(7, 8), (9, 8)], ids=["less", "more"])
@pytest.mark.parametrize("runs", [0, 5], ids=["direct", "recorded"])
def test_a_place_of_another_size_than_the_plans_answer_is_refused(library, planned, gpu, size, runs):
    """What the device would write over is somebody else's."""
    backend = library.backend(gpu)
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


def test_a_plan_that_decides_a_size_while_it_runs_is_refused(library, planned, gpu, monkeypatch):
    monkeypatch.setattr("support.fake_tensorrt.FakeExecution.shape", lambda *_: (1, 3, -1, 32))
    backend = library.backend(gpu)
    latent = backend.upload(np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(IncompatibleError, match="vae_decoder decides the size of image while it runs"):
        backend.open(planned, "vae_decoder").context().run({"latent": latent})
