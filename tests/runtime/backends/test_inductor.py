"""The inductor backend without a compiler: which package is taken, how it is recorded, when it is refused."""

from __future__ import annotations

import dataclasses
import threading
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
import torch

from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.graph_replay import WARM_RUNS, trusted_replay
from dit4sr.runtime.backends.inductor import NAME
from dit4sr.runtime.backends.inductor.backend import Inductor, InductorContext, InductorEngine
from dit4sr.runtime.backends.inductor.compatibility import compatibility, instruction_sets
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.inductor.tensors import array_of, read_weights, tensor_of
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, Engine, FileRecord, TensorSpec
from dit4sr.runtime.errors import (
    BadInputError,
    IncompatibleError,
    IntegrityError,
    MissingDependencyError,
    OutOfMemoryError,
)

RECORD = FileRecord("engines/inductor-cpu/any.pt2", 1, "0" * 64)
HERE = {"torch": torch.__version__, "instructions": " ".join(instruction_sets())}
COMPONENT = Component(
    (RECORD,),
    "fp32",
    (TensorSpec("x", "float32", ("rows", "tokens")), TensorSpec("scale", "float32", ("tokens",))),
    (TensorSpec("y", "float32", ("rows", "tokens")),),
)


def package(rows=None, tokens=4):
    inputs = (
        TensorSpec("x", "float32", (rows or "rows", tokens)),
        TensorSpec("scale", "float32", (tokens,)),
    )
    return Package(Engine(NAME, "toy", (RECORD, RECORD), "fp32", "cpu", HERE, (), inputs), COMPONENT)


def engine_of(*packages, calls=None, recorder=None):
    """Multiplies; notes which package was called."""

    def load(taken):
        def run(tensors):
            if calls is not None:
                calls.append(taken)
            x, scale = tensors
            return (x * scale,)

        return run

    return InductorEngine(packages, load, recorder)


def arrays(rows, tokens=4, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": array_of(torch.from_numpy(rng.normal(size=(rows, tokens)).astype(np.float32))),
        "scale": array_of(torch.from_numpy(rng.normal(size=tokens).astype(np.float32))),
    }


def product(inputs):
    return tensor_of(inputs["x"]) * tensor_of(inputs["scale"])


class Recorder:
    """Records as a CUDA graph does: the call's work on the buffers it saw, again at every replay."""

    def __init__(self, *, deaf=False):
        self.recordings, self.replays, self.deaf = 0, 0, deaf

    def __call__(self, call):
        call()
        self.recordings += 1

        def replay():
            self.replays += 1
            if not self.deaf:
                call()

        return replay


# ------------------------------------------------------------------------------------- packages and shapes


def test_each_shape_finds_its_package():
    calls = []
    two, one = package(rows=2), package(rows=1)
    context = engine_of(two, one, calls=calls).context()
    for rows in (1, 2, 1):
        inputs = arrays(rows)
        assert torch.equal(tensor_of(context.run(inputs)["y"]), product(inputs))
    assert calls == [one, two, one]


def test_sizes_are_fixed_where_no_package_has_another():
    engine = engine_of(package(rows=2), package(rows=1))
    assert [spec.shape for spec in engine.inputs] == [("rows", 4), (4,)]
    assert [spec.shape for spec in engine.outputs] == [("rows", 4)]
    assert engine_of(package(rows=2)).outputs[0].shape == (2, 4)


def test_a_shape_without_a_package_is_refused_with_those_there_are():
    context = engine_of(package(rows=2), package(rows=1)).context()
    with pytest.raises(IncompatibleError) as refusal:
        context.run(arrays(3))
    assert "no inductor engine of toy for x 3×4, scale 4" in str(refusal.value)
    assert "rows 2, tokens 4 or rows 1, tokens 4" in refusal.value.expected
    with pytest.raises(IncompatibleError, match="expected tokens 4"):
        engine_of(package()).context().run(arrays(2, tokens=5))


def test_a_package_is_loaded_once_and_when_it_is_needed():
    loaded = []

    def load(taken):
        loaded.append(taken)
        return lambda tensors: (tensors[0] * tensors[1],)

    engine = InductorEngine([package(rows=2), package(rows=1)], load)
    assert loaded == []
    contexts = [engine.context() for _ in range(4)]
    threads = [threading.Thread(target=context.run, args=(arrays(2),)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [engine.packages[0]]


def test_what_torch_says_becomes_one_line():
    def load(_):
        raise RuntimeError("model.so:\n no such symbol")

    with pytest.raises(IncompatibleError, match=r"any\.pt2 cannot be loaded: model\.so: no such symbol"):
        InductorEngine([package()], load).context().run(arrays(2))

    def exhausted(_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemoryError, match="component toy failed: out of memory"):
        InductorEngine([package()], lambda _: exhausted).context().run(arrays(2))


# ------------------------------------------------------------------------------------------------- replays


def test_a_warm_package_is_recorded_once_and_replayed():
    recorder = Recorder()
    context = engine_of(package(rows=2), recorder=recorder).context()
    for seed in range(WARM_RUNS + 3):
        inputs = arrays(2, seed=seed)
        target = array_of(torch.zeros(2, 4))
        results = context.run(inputs, {"y": target})
        assert results["y"] is target
        assert torch.equal(tensor_of(target), product(inputs))
        assert recorder.recordings == (seed >= WARM_RUNS)
    assert recorder.replays == 2 + 3, "two for the check, one for each run since"


def test_results_of_a_replay_outlive_the_next_one():
    context = engine_of(package(rows=2), recorder=Recorder()).context()
    inputs = [arrays(2, seed=seed) for seed in range(WARM_RUNS + 2)]
    answers = [context.run(each)["y"] for each in inputs]
    for each, answer in zip(inputs, answers, strict=True):
        assert torch.equal(tensor_of(answer), product(each))


def test_a_recording_that_does_not_listen_is_not_used():
    """It answers everything as it answered while it was recorded."""
    recorder = Recorder(deaf=True)
    context = engine_of(package(rows=2), recorder=recorder).context()
    for seed in range(WARM_RUNS):
        context.run(arrays(2, seed=seed))
    with pytest.warns(UserWarning, match="toy: its CUDA graph answers wrongly"):
        context.run(arrays(2, seed=8))
    inputs = arrays(2, seed=9)
    assert torch.equal(tensor_of(context.run(inputs)["y"]), product(inputs))
    assert recorder.recordings == 1


@pytest.mark.parametrize("spoil", [lambda y: y + 1, lambda y: y * float("nan"), lambda y: -y])
def test_one_wrong_answer_is_enough(spoil):
    def call(tensors):
        return (tensors[0] * tensors[1],)

    def spoilt(tensors):
        return tuple(spoil(answer) for answer in call(tensors))

    question = [tensor_of(array) for array in arrays(2).values()]
    assert trusted_replay(call, question, Recorder()) is not None

    state = {"recording": True}

    def record(on_buffers):
        on_buffers()
        state["recording"] = False
        return on_buffers

    def changes_after_recording(tensors):
        return call(tensors) if state["recording"] else spoilt(tensors)

    direct = iter([call(question), call([tensor.flip(-1) for tensor in question])])

    def measured(tensors):
        """Direct answers are right, those from buffers are not."""
        if any(tensor is question[0] for tensor in tensors):
            return next(direct)
        return changes_after_recording(tensors)

    assert trusted_replay(measured, question, record) is None


def test_free_sizes_and_cpus_are_not_recorded():
    recorder = Recorder()
    context = engine_of(package(rows=None), recorder=recorder).context()
    for seed in range(WARM_RUNS + 2):
        inputs = arrays(2 + seed)
        assert torch.equal(tensor_of(context.run(inputs)["y"]), product(inputs))
    assert recorder.recordings == 0
    assert isinstance(engine_of(package()).context(), InductorContext)


# ------------------------------------------------------------------------------------------------- memory


def test_rows_of_an_array_are_views_of_its_tensor():
    tensor = torch.arange(24.0).view(4, 3, 2)
    array = array_of(tensor)
    for rows in (0, 3, slice(1, 3), slice(-2, None), slice(0, 0)):
        assert torch.equal(tensor_of(array[rows]), tensor[rows])
    assert tensor_of(array[1][2:]).data_ptr() == tensor[1, 2:].data_ptr()
    tensor_of(array[2]).zero_()
    assert not tensor[2].any()


def test_a_transposed_tensor_is_made_dense_first():
    tensor = torch.arange(6.0).view(2, 3).mT
    assert torch.equal(tensor_of(array_of(tensor)), tensor)
    assert isinstance(array_of(tensor), Array)


def test_damaged_weights_are_refused(tmp_path):
    for damage in (b"", b"\xff" * 8, (9).to_bytes(8, "little") + b'{"a": {}}' + b"0" * 8):
        (tmp_path / "weights").write_bytes(damage)
        with pytest.raises(IntegrityError, match="holds no weights"):
            read_weights(tmp_path / "weights", torch, "cpu")


# ------------------------------------------------------------------------------------------- compatibility


@pytest.fixture
def bundle(toy_bundle):
    return Bundle.open(toy_bundle)


def with_engines(bundle, *, target="cpu", components=None, **versions):
    engines = tuple(
        Engine(NAME, name, (RECORD, RECORD), "fp16", target, {**HERE, **versions}, ())
        for name in components or bundle.components
    )
    manifest = dataclasses.replace(bundle.manifest, engines=engines)
    return Bundle(bundle.path, manifest, trusts_engines=True)


def test_what_was_built_here_fits(bundle):
    fit = compatibility(with_engines(bundle))
    assert fit.fits, fit
    assert fit.built_for == f"cpu with torch {torch.__version__}"


@pytest.mark.parametrize(
    ("how", "obstacle"),
    [
        ({"torch": "1.0.0"}, f"running on torch {torch.__version__}"),
        ({"components": ["step"]}, "not for prepare, vae_decoder, vae_encoder"),
        ({"instructions": "avx2048"}, "this CPU lacks avx2048"),
    ],
)
def test_what_does_not_fit_is_told_with_both_sides_and_a_way_out(bundle, how, obstacle):
    built = with_engines(bundle, **how)
    fit = compatibility(built)
    assert not fit.fits
    assert obstacle in fit.obstacle
    assert "built for cpu with torch" in fit.obstacle
    with pytest.raises(IncompatibleError, match="rebuild with dit4sr-export --engine inductor"):
        choose(built, NAME)
    assert choose(built).backend.name == "onnxruntime"


def test_patch_releases_of_torch_may_differ(bundle):
    major, minor = torch.__version__.split(".")[:2]
    assert compatibility(with_engines(bundle, torch=f"{major}.{minor}.99+cu130")).fits


@pytest.mark.parametrize(
    ("found", "error", "words"),
    [
        (None, MissingDependencyError, "no CUDA device is here"),
        ("sm_80", IncompatibleError, "built for sm_90 with torch .* running on sm_80"),
    ],
)
def test_a_gpu_engine_asks_for_its_gpu(bundle, monkeypatch, found, error, words):
    monkeypatch.setattr("dit4sr.runtime.backends.inductor.compatibility.gpu_target", lambda: found)
    with pytest.raises(error, match=words):
        choose(with_engines(bundle, target="sm_90"), NAME)


def test_the_device_that_is_asked_for_decides(bundle, monkeypatch):
    monkeypatch.setattr("dit4sr.runtime.backends.inductor.compatibility.gpu_target", lambda: "sm_90")
    gpu, cpu = with_engines(bundle, target="sm_90"), with_engines(bundle)
    manifest = dataclasses.replace(bundle.manifest, engines=(*cpu.engines, *gpu.engines))
    both = Bundle(bundle.path, manifest, trusts_engines=True)
    assert compatibility(both).built_for.startswith("sm_90")
    assert compatibility(both, "cpu").built_for.startswith("cpu")
    assert "device cpu was asked for" in compatibility(gpu, "cpu").obstacle


def test_without_torch_it_says_what_to_install(bundle, monkeypatch):
    found = ModuleSpec("found", None, origin="here")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else found)
    with pytest.raises(MissingDependencyError, match="torch is not installed here; pip install torch"):
        choose(with_engines(bundle), NAME)


def test_the_backend_moves_values_in_and_out(bundle):
    backend = choose(with_engines(bundle), NAME, threads=1).backend
    assert isinstance(backend, Inductor)
    assert (backend.name, backend.device, backend.recorder) == (NAME, "cpu", None)
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    array = backend.upload(values)
    values[0] = 9
    np.testing.assert_array_equal(backend.download(array), values)
    backend.write(array, -values)
    np.testing.assert_array_equal(backend.download(array[1:]), -np.float32([[3, 4, 5]]))
    assert backend.empty([2, 5]).shape == (2, 5)
    assert backend.upload(np.arange(3)).dtype == np.int64


def test_a_component_without_an_engine_is_refused(bundle):
    backend = Inductor("cpu")
    with pytest.raises(IncompatibleError, match="no inductor engine of step for cpu"):
        backend.open(bundle, "step")
    odd = with_engines(bundle)
    engines = tuple(dataclasses.replace(engine, files=(RECORD,)) for engine in odd.engines)
    manifest = dataclasses.replace(odd.manifest, engines=engines)
    with pytest.raises(IntegrityError, match="its inductor engine of step is not one of that component"):
        backend.open(Bundle(bundle.path, manifest, trusts_engines=True), "step")
    with pytest.raises(BadInputError, match="no backend 'inductors'"):
        choose(bundle, "inductors")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((torch.zeros(1, 4),), "toy makes y as float32 of 1×4; expected float32 of 2×4"),
        ((torch.zeros(2, 4, dtype=torch.float64),), "toy makes y as float64"),
        ((torch.zeros(2, 4, dtype=torch.bfloat16),), "bfloat16"),
        ((), "its package makes 0 tensors; expected 1"),
    ],
)
def test_an_answer_is_not_repeated_or_converted_until_it_fits(answers, said):
    engine = InductorEngine([package()], lambda _: lambda _: answers)
    place = array_of(torch.zeros(2, 4))
    with pytest.raises(IncompatibleError, match=said):
        engine.context().run(arrays(2), {"y": place})
