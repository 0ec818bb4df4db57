"""Backends: chosen with reasons, refused as a value, and plain when a library fails."""

from __future__ import annotations

import dataclasses
import threading
from importlib.machinery import ModuleSpec

import numpy as np
import onnxruntime
import pytest
from support.runtime_system import CHANNELS

from dit4sr.runtime.backends.choice import candidates, choose
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime, host_array, session_options
from dit4sr.runtime.backends.onnxruntime.compatibility import compatibility
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Engine, FileRecord, record_of
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError, OutOfMemoryError


@pytest.fixture
def bundle(toy_bundle):
    return Bundle.open(toy_bundle)


def with_engine(bundle: Bundle, backend: str) -> Bundle:
    record = FileRecord("engines/step.plan", 1, "0" * 64)
    engine = Engine(backend, "step", (record,), "fp16", "sm_90", {}, ())
    manifest = dataclasses.replace(bundle.manifest, engines=(engine,))
    return dataclasses.replace(bundle, manifest=manifest, trusts_engines=True)


def test_auto_says_why_it_passed_over_the_others(bundle):
    choice = choose(bundle)
    assert (choice.backend.name, choice.backend.device) == ("onnxruntime", "cpu")
    assert choice.reasons() == [
        "tensorrt passed over: the bundle holds no engines for it",
        "tensorrt-rtx passed over: the bundle holds no engines for it",
        "inductor passed over: the bundle holds no engines for it",
    ]
    assert choose(bundle, "onnxruntime").reasons() == []


def test_compatibility_is_a_value_before_anything_is_read(bundle):
    """The engine's file does not exist; nobody looks."""
    compiled_bundle = with_engine(bundle, "tensorrt")
    fit = candidates(compiled_bundle, "auto", 1)[0].fit
    assert not fit.fits
    assert fit.built_for.startswith("sm_90")
    assert fit.remedy
    with pytest.raises((MissingDependencyError, IncompatibleError), match="onnxruntime"):
        choose(compiled_bundle, "tensorrt")
    assert choose(compiled_bundle).backend.name == "onnxruntime"


def test_what_is_not_there_is_refused(bundle, monkeypatch):
    with pytest.raises(BadInputError, match="no backend 'vulkan'"):
        choose(bundle, "vulkan")
    with pytest.raises(BadInputError, match="no device 'tpu'"):
        choose(bundle, device="tpu")
    with pytest.raises(IncompatibleError, match="holds no engines"):
        choose(bundle, "tensorrt")
    if not compatibility("cuda").fits:
        with pytest.raises(MissingDependencyError, match="onnxruntime-gpu"):
            choose(bundle, device="cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dit4sr\[cpu\]'"):
        choose(bundle)


def test_an_onnxruntime_of_which_only_the_folder_is_left_is_none(monkeypatch):
    """What pip leaves of two distributions in one folder when it removes either of them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: ModuleSpec(name, None))
    assert compatibility().obstacle == "onnxruntime is not installed"


def test_rows_are_taken_without_copying():
    values = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    array = host_array(values)
    for rows in (0, 3, slice(1, 3), slice(-2, None), slice(0, 0)):
        part = array[rows]
        assert part.shape == values[rows].shape
        assert part.address == values[rows].ctypes.data or values[rows].size == 0
        np.testing.assert_array_equal(part.owner, values[rows])
    foreign = Array(array.address, array.shape, array.dtype, owner=object())
    assert foreign[2][-2:].address == values[2, -2:].ctypes.data


def test_engines_read_and_write_where_they_are_told(bundle):
    backend = OnnxRuntime("cpu", threads=1)
    decoder = backend.open(bundle, "vae_decoder").context()
    latent = np.random.default_rng(0).normal(size=(1, CHANNELS, 8, 8)).astype(np.float32)
    free = backend.download(decoder.run({"latent": backend.upload(latent)})["image"])
    target = backend.empty([1, 3, 32, 32])
    source = backend.empty(latent.shape)
    backend.write(source, latent)
    assert decoder.run({"latent": source}, {"image": target})["image"] is target
    np.testing.assert_array_equal(backend.download(target), free)
    backend.write(source, -latent)
    decoder.run({"latent": source}, {"image": target})
    assert (backend.download(target) != free).any()


def test_contexts_of_one_engine_do_not_meet(bundle):
    backend = OnnxRuntime("cpu", threads=1)
    engine = backend.open(bundle, "vae_decoder")
    latents = [np.full((1, CHANNELS, 8, 8), i, dtype=np.float32) for i in range(4)]
    expected = [
        backend.download(engine.context().run({"latent": backend.upload(x)})["image"]) for x in latents
    ]
    wrong = []

    def work(index: int) -> None:
        context = engine.context()
        for _ in range(50):
            got = backend.download(context.run({"latent": backend.upload(latents[index])})["image"])
            wrong.extend([index] * (not np.array_equal(got, expected[index])))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_graph_that_is_none_is_refused_in_one_line(toy_bundle, tmp_path):
    bundle = Bundle.open(toy_bundle)
    (tmp_path / "onnx").mkdir()
    file = tmp_path / "onnx" / "step.onnx"
    file.write_bytes(b"no graph at all")
    component = dataclasses.replace(bundle.components["step"], files=(record_of(file, tmp_path),))
    manifest = dataclasses.replace(bundle.manifest, components={"step": component})
    (tmp_path / MANIFEST).write_text(manifest.to_text())
    with pytest.raises(IncompatibleError, match=r"step\.onnx cannot be loaded") as refusal:
        OnnxRuntime("cpu").open(Bundle.open(tmp_path), "step")
    assert "\n" not in str(refusal.value)


def test_only_onnx_is_read_as_a_graph(toy_bundle, tmp_path):
    """The library has a format of its own, which may refer to other files, and nobody looks through it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "step.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3
    graph = Bundle.open(toy_bundle).component_file("step")
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "step.ort").read_bytes()
    assert onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="protobuf parsing failed"):
        onnxruntime.InferenceSession(content, session_options(1), providers=["CPUExecutionProvider"])


def test_the_librarys_exhaustion_is_ours(bundle):
    backend = OnnxRuntime("cpu")
    engine = backend.open(bundle, "vae_decoder")

    class Exhausted:
        def io_binding(self):
            return self

        def bind_input(self, *_):
            raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    engine.session = Exhausted()
    with pytest.raises(OutOfMemoryError, match="component vae_decoder failed: out of memory"):
        engine.context().run({"latent": backend.empty([1])})


def test_wrong_shapes_are_one_line(bundle):
    backend = OnnxRuntime("cpu")
    context = backend.open(bundle, "vae_decoder").context()
    with pytest.raises(IncompatibleError, match="component vae_decoder failed"):
        context.run({"latent": backend.empty([1, 99, 8, 8])})
