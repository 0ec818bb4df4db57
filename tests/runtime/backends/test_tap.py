"""The tap: every backend's runs are seen, and none of them is any different for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from support.fake_tensorrt import FakeGpu
from support.photos import make_photo
from support.runtime_system import CHANNELS
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.choice import Choice
from dit4sr.runtime.backends.inductor.backend import Inductor, InductorEngine
from dit4sr.runtime.backends.inductor.packages import NAME, Package
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tap import Recording, TappedBackend
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, Engine, FileRecord


class UncompiledInductor(Inductor):
    """The inductor backend, with a function where a package's code would be loaded."""

    def open(self, bundle, component):
        file = FileRecord("engines/any.pt2", 1, "0" * 64)
        inputs, outputs = (bundle.components[component].inputs, bundle.components[component].outputs)
        engine = Engine(NAME, component, (file, file), "fp32", "cpu", {}, (), ())
        package = Package(engine, Component((file,), "fp32", inputs, outputs))
        return InductorEngine((package,), lambda _: lambda tensors: (tensors[0][:, :3] * 2,), None)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Bundle:
    return plan_bundle(tmp_path_factory.mktemp("planned") / "bundle", FakeGpu())


@pytest.fixture(params=[OnnxRuntime, UncompiledInductor, TensorRt])
def backend(request):
    return TensorRt(FakeGpu()) if request.param is TensorRt else request.param("cpu")


def latents(count: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0)
    return [noise.normal(size=(1, CHANNELS, 8, 8)).astype(np.float32) for _ in range(count)]


def test_every_run_is_seen_and_answers_as_without_the_tap(planned, backend):
    recording = Recording("image")
    tapped = TappedBackend(backend, {"vae_decoder": recording})
    plain, seen = (each.open(planned, "vae_decoder") for each in (backend, tapped))
    assert (tapped.name, tapped.device) == (backend.name, backend.device)
    assert (seen.inputs, seen.outputs) == (plain.inputs, plain.outputs)
    plain_context, seen_context = plain.context(), seen.context()
    expected = []
    for latent in latents(4):
        wanted, found = (
            each.download(context.run({"latent": each.upload(latent)})["image"]).copy()
            for each, context in ((backend, plain_context), (tapped, seen_context))
        )
        np.testing.assert_array_equal(found, wanted)
        expected.append(wanted)
    assert len(recording.runs) == len(expected)
    for kept, wanted in zip(recording.runs, expected, strict=True):
        np.testing.assert_array_equal(kept, wanted)
    assert not np.array_equal(recording.runs[0], recording.runs[1])


def test_results_land_where_they_are_asked_to_and_are_seen_there(planned, backend):
    recording = Recording("image")
    tapped = TappedBackend(backend, {"vae_decoder": recording})
    context = tapped.open(planned, "vae_decoder").context()
    [latent] = latents(1)
    free = tapped.download(context.run({"latent": tapped.upload(latent)})["image"]).copy()
    target, source = tapped.empty(free.shape), tapped.upload(np.zeros_like(latent))
    tapped.write(source, latent)
    assert context.run({"latent": source}, {"image": target})["image"] is target
    np.testing.assert_array_equal(tapped.download(target), free)
    np.testing.assert_array_equal(recording.runs[1], free)


def test_components_without_a_hook_are_opened_as_they_are(planned, backend):
    opened = TappedBackend(backend, {"step": lambda _: None}).open(planned, "vae_decoder")
    assert type(opened) is type(backend.open(planned, "vae_decoder"))


@pytest.mark.parametrize("kind", [lambda: OnnxRuntime("cpu", 1), lambda: TensorRt(FakeGpu())])
@pytest.mark.parametrize(("size", "steps"), [((8, 8), 4), ((12, 10), 16)], ids=["one-tile", "tiles"])
def test_a_picture_is_the_same_with_a_hook_on_every_component(planned, kind, size, steps):
    runs: Counter[str] = Counter()
    hooks = {name: lambda _, name=name: runs.update([name]) for name in planned.components}
    pictures = []
    for backend in (kind(), Choice(TappedBackend(kind(), hooks))):
        with Upscaler(planned, backend=backend, use_cache=False) as upscaler:
            pictures.append(upscaler.upscale(make_photo(*size), seed=3, settings=Settings(guidance=3.0)))
    np.testing.assert_array_equal(pictures[0].picture, pictures[1].picture)
    assert runs["step"] == steps
    assert set(runs) == set(planned.components)


def test_a_recording_keeps_what_later_steps_write_over(toy_bundle):
    """The loop has two buffers for four velocities: whoever keeps the arrays themselves keeps two."""
    recording, kept = Recording("velocity"), []

    def hook(outputs):
        recording(outputs)
        kept.append(outputs["velocity"])

    with Upscaler(toy_bundle, backend=TappedBackend(OnnxRuntime("cpu", 1), {"step": hook})) as upscaler:
        upscaler.upscale(make_photo(8, 8))
    assert len(recording.runs) == 4
    assert np.shares_memory(kept[0], kept[2])
    assert not np.array_equal(recording.runs[0], recording.runs[2])
    np.testing.assert_array_equal(recording.runs[3], kept[3])


def test_a_hook_cannot_change_what_a_run_made(planned, backend):
    def spoil(outputs):
        outputs["image"][:] = 0

    context = TappedBackend(backend, {"vae_decoder": spoil}).open(planned, "vae_decoder").context()
    with pytest.raises(ValueError, match="read-only"):
        context.run({"latent": backend.upload(latents(1)[0])})


def test_a_recording_of_what_is_not_made_fails_at_the_first_run(planned):
    backend = OnnxRuntime("cpu", 1)
    context = TappedBackend(backend, {"vae_decoder": Recording("velocity")}).open(planned, "vae_decoder")
    with pytest.raises(KeyError, match="velocity"):
        context.context().run({"latent": backend.upload(latents(1)[0])})
