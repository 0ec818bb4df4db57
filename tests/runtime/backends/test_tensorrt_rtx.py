"""What is only TensorRT for RTX's: validity, kernels that are kept, its own recordings, and every refusal."""

from __future__ import annotations

import gc
import json
import os
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import fake_tensorrt
from support.fake_tensorrt import OURS
from support.fake_tensorrt_rtx import (
    MACHINE,
    STANDS_FOR,
    VERSION,
    FakeContext,
    FakeRtxGpu,
    install,
    other,
    rtx_bundle,
    trt,
)
from support.plan_pictures import photo, restored
from support.tensorrt_bundle import plan_bundle

from dit4sr.__main__ import command as front_door
from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.plans.library import logger_class
from dit4sr.runtime.backends.tensorrt_rtx import NAME, TARGETS
from dit4sr.runtime.backends.tensorrt_rtx import runtime_cache as caches
from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx
from dit4sr.runtime.backends.tensorrt_rtx.compatibility import compatibility
from dit4sr.runtime.backends.tensorrt_rtx.library import validity_of
from dit4sr.runtime.backends.tensorrt_rtx.runtime_cache import RuntimeCache
from dit4sr.runtime.backends.tensorrt_rtx.validity import Validity, refusal
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, FileRecord
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import IncompatibleError, MissingDependencyError, OutOfMemoryError

RECORDED = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Bundle:
    """Plans for one tile with and without guidance, and a VAE for pictures of any size."""
    return rtx_bundle(tmp_path_factory.mktemp("planned") / "bundle")


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """The folder of kernels that are kept."""
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / NAME


@pytest.fixture
def gpu(monkeypatch, cache) -> FakeRtxGpu:
    assert not cache.exists()
    return another_process(monkeypatch)


def another_process(monkeypatch, **changes) -> FakeRtxGpu:
    """A device on which nothing has been compiled yet."""
    found = FakeRtxGpu(machine=other(**changes))
    install(monkeypatch, found)
    return found


# ------------------------------------------------------------------------------------- the real library


@pytest.mark.parametrize("fake", STANDS_FOR, ids=lambda fake: fake.__name__)
def test_the_fake_has_nothing_that_the_library_lacks(fake):
    known = set(dir(fake)) | set(vars(fake).get("__annotations__", ()))
    assert {name for name in known if not name.startswith("_")} <= set(dir(STANDS_FOR[fake]))


def test_the_targets_are_those_of_the_library():
    known = trt.ComputeCapability.__members__
    assert {f"SM{target}" for target in TARGETS} == known.keys() - {"NONE", "CURRENT"}


def test_every_diagnostic_of_the_library_is_known(planned):
    [engine, *_] = planned.engines
    for name in trt.EngineInvalidityDiagnostics.__members__:
        error = refusal(Validity("INVALID", (name,)), "step.plan", engine, MACHINE)
        assert "it cannot be run" not in str(error), name


@pytest.mark.parametrize("header", [b"", b"vtrt", bytes(64), b"no plan" * 20], ids=len)
def test_the_library_itself_refuses_what_is_no_plan(header):
    """Without a device it still knows a plan by its first bytes."""
    errors = logger_class(trt)()
    runtime = trt.Runtime(errors)
    found = validity_of(header[: runtime.engine_header_size], runtime, errors)
    assert (found.verdict, found.diagnostics) == ("INVALID", ("MALFORMED_ENGINE",))


# ------------------------------------------------------------------------------------------- what fits


MISMATCHES = {
    "Hopper": (
        {"architecture": "sm_90"},
        "sm_90 is no target of TensorRT for RTX; build .*--engine tensorrt on",
    ),
    "another target": ({"architecture": "sm_120"}, "built for sm_80.sm_89 .* but running on sm_120; rebuild"),
    "version": (
        {"version": "1.7.1.117"},
        r"with TensorRT for RTX 1\.7\.1\.116, but running on TensorRT for RTX 1\.7\.1\.117; "
        r"pip install tensorrt-rtx==1\.7\.1\.116, or rebuild",
    ),
}


@pytest.mark.parametrize("kind", MISMATCHES)
def test_what_does_not_fit_is_told_before_a_plan_is_read(planned, gpu, kind):
    changes, message = MISMATCHES[kind]
    gpu.machine = other(**changes)
    with pytest.raises(IncompatibleError, match=message) as refused:
        choose(planned, NAME)
    assert "\n" not in str(refused.value)
    reasons = choose(planned).reasons()
    assert reasons[1].startswith("tensorrt-rtx passed over: built for sm_80+sm_89 with TensorRT for RTX")
    assert gpu.loads == 0


ABSENCES = {
    "library": (
        {"version": ""},
        r"TensorRT for RTX is not installed here; pip install 'dit4sr\[tensorrt-rtx\]'",
    ),
    "bindings": ({"has_bindings": False}, "cuda-bindings is not installed here; pip install"),
    "device": ({"architecture": "", "driver": ""}, "no CUDA device is here; check the driver"),
}


@pytest.mark.parametrize("kind", ABSENCES)
def test_what_is_missing_is_told_before_a_plan_is_read(planned, gpu, kind):
    changes, message = ABSENCES[kind]
    gpu.machine = other(**changes)
    with pytest.raises(MissingDependencyError, match=message):
        choose(planned, NAME)
    assert gpu.loads == 0


def test_one_plan_serves_each_of_its_targets(planned):
    for architecture in ("sm_80", "sm_89"):
        assert compatibility(planned, machine=other(architecture=architecture)).fits
        backend = TensorRtx(FakeRtxGpu(machine=other(architecture=architecture)))
        assert backend.open(planned, "step").plans
    with pytest.raises(IncompatibleError, match="has no tensorrt-rtx engine of step for sm_8"):
        TensorRtx(FakeRtxGpu(machine=other(architecture="sm_8"))).open(planned, "step")


def test_other_reasons_not_to_run(planned):
    stale = [replace(engine, plan=replace(engine.plan, source="0" * 64)) for engine in planned.engines]
    for engines, said in (
        (stale, "was built from another graph"),
        (planned.engines[:1], "not for prepare, step"),
    ):
        bundle = replace(planned, manifest=replace(planned.manifest, engines=tuple(engines)))
        assert said in compatibility(bundle, machine=MACHINE).obstacle
    assert "device cpu was asked for" in compatibility(planned, "cpu", MACHINE).obstacle


def test_auto_takes_tensorrt_then_this_then_what_is_left(planned, gpu, tmp_path, monkeypatch):
    classic = plan_bundle(tmp_path / "classic", fake_tensorrt.FakeGpu())
    engines = (*planned.manifest.engines, *classic.manifest.engines)
    both = replace(planned, manifest=replace(planned.manifest, engines=engines))
    choice = choose(both)
    assert choice.backend.name == NAME
    [reason] = choice.reasons()
    assert reason.startswith("tensorrt passed over: built for sm_90 with TensorRT")
    fake_tensorrt.install(
        monkeypatch, fake_tensorrt.FakeGpu(machine=fake_tensorrt.other(architecture="sm_90"))
    )
    assert choose(both).backend.name == "tensorrt"
    assert choose(both, NAME).backend.name == NAME
    gpu.machine = other(architecture="sm_90")
    assert choose(planned).backend.name == "onnxruntime"


# ------------------------------------------------------------------------------------ what the header says


VERDICTS = {
    "UNSUPPORTED_CC": (IncompatibleError, r"the plan is not for this GPU; .*; rebuild with .*tensorrt-rtx"),
    "OLD_CUDA_DRIVER": (IncompatibleError, "the driver is too old; .*; update the driver"),
    "INSUFFICIENT_GPU_MEMORY": (OutOfMemoryError, "too little memory; .*; use --low-memory"),
    "CUDA_ERROR": (MissingDependencyError, "CUDA does not work; .*; check the driver with nvidia-smi"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_plan_that_is_not_valid_is_refused_before_it_is_loaded(planned, gpu, name):
    kind, message = VERDICTS[name]
    gpu.validity_bits = trt.EngineInvalidityDiagnostics.__members__[name].value
    expected = f"expected a plan for sm_89 with TensorRT for RTX {VERSION}"
    built_for = (
        rf"step.*\.plan is built for sm_80\+sm_89 with TensorRT for RTX {VERSION}; TensorRT for RTX says that"
    )
    with pytest.raises(kind, match=message) as refused:
        TensorRtx(gpu).open(planned, "step")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(kind, match=built_for):
        TensorRtx(gpu).open(planned, "step")
    assert gpu.loads == 0


def test_a_plan_of_another_version_is_known_by_its_header_whatever_the_manifest_says(planned, gpu):
    gpu.machine = other(version="1.8.0.1")
    with pytest.raises(
        IncompatibleError, match=r"another version of it built the plan; .*; pip install tensorrt"
    ):
        TensorRtx(gpu).open(planned, "step")


def test_a_plan_that_nothing_is_said_of_is_refused_with_what_was_logged(planned):
    [engine, *_] = planned.engines
    error = refusal(Validity("INVALID", (), "cudaError 35"), "step.plan", engine, MACHINE)
    assert isinstance(error, IncompatibleError)
    assert "it cannot be run (cudaError 35); expected a plan for sm_89" in str(error)


def test_a_plan_that_is_slow_here_runs_and_is_named(planned, gpu):
    gpu.is_slow = True
    with pytest.warns(UserWarning, match=r"\.plan: TensorRT for RTX says it may be slow here"):
        found = restored(planned, NAME, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


# ------------------------------------------------------------------------------------------- recordings


def test_the_library_records_what_is_fixed_and_nothing_else(planned, gpu):
    restored(planned, NAME, photo(8, 8))
    assert gpu.strategies.count(RECORDED) == 1
    assert gpu.executions == len(gpu.strategies) == 5  # of four components, and the recording of one


def test_a_recording_runs_beside_our_stream_and_in_its_order(planned, gpu):
    """The library records the stream it is given: nobody else may put anything on it."""
    restored(planned, NAME, photo(8, 8))
    sides = {stream for stream, _ in gpu.waits} - {OURS}
    [side] = sides
    assert gpu.waits == [(side, OURS), (OURS, side)] * gpu.launches


def test_a_recording_that_is_trusted_stands_alone(planned, gpu, monkeypatch):
    """The context that ran before it gives its memory back."""
    contexts = weakref.WeakSet()
    make = FakeContext.__init__

    def made(self, *arguments) -> None:
        contexts.add(self)
        make(self, *arguments)

    monkeypatch.setattr(FakeContext, "__init__", made)
    with Upscaler(planned, backend=NAME, use_cache=False) as upscaler:
        upscaler.upscale(photo(8, 8))
        gc.collect()
        assert len(contexts) == gpu.executions - 1


# -------------------------------------------------------------------------------- kernels that are kept


def grown_old(folder: Path) -> list[Path]:
    """Files that from now on tell whether they were written anew."""
    files = list(folder.iterdir())
    for file in files:
        os.utime(file, (0, 0))
    return files


def test_kernels_are_compiled_once_and_not_by_the_next_process(planned, gpu, cache, monkeypatch):
    picture = restored(planned, NAME, photo(8, 8))
    assert set(gpu.compiled.values()) == {1}
    assert len(grown_old(cache)) == 4
    again = another_process(monkeypatch)
    np.testing.assert_array_equal(restored(planned, NAME, photo(8, 8)), picture)
    assert not again.compiled
    assert [path for path in cache.iterdir() if path.stat().st_mtime] == [], "written though nothing was new"


@pytest.mark.parametrize("change", [{"driver": "13.1"}, {"device": "Fake RTX 3090", "architecture": "sm_80"}])
def test_each_driver_and_card_has_kernels_of_its_own(planned, gpu, cache, monkeypatch, change):
    restored(planned, NAME, photo(8, 8))
    again = another_process(monkeypatch, **change)
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert len(list(cache.iterdir())) == 8


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda old: old[:-1], lambda old: old + b" ", lambda _: b"x" * 99]
)
def test_kernels_that_are_damaged_are_compiled_and_written_anew(planned, gpu, cache, monkeypatch, damage):
    restored(planned, NAME, photo(8, 8))
    kept = {path: path.read_bytes() for path in cache.iterdir()}
    for path, content in kept.items():
        path.write_bytes(damage(content))
    again = another_process(monkeypatch)
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert {path: path.read_bytes() for path in cache.iterdir()} == kept


def test_kernels_that_the_library_rejects_are_compiled_and_written_anew(planned, gpu, cache, monkeypatch):
    restored(planned, NAME, photo(8, 8))
    grown_old(cache)
    again = another_process(monkeypatch)
    again.rejects_caches = True
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert all(path.stat().st_mtime for path in cache.iterdir())


def test_kernels_for_sizes_that_are_free_are_kept_when_they_are_there(planned, gpu, cache):
    """They are compiled while others run, so that they are there some runs later."""
    backend = TensorRtx(gpu)
    decoder = backend.open(planned, "vae_decoder").context()
    kernels = []
    for _ in range(4):
        decoder.run({"latent": backend.upload(np.ones((1, 4, 8, 8), np.float32))})
        [file] = cache.iterdir()
        kernels.append(len(json.loads(file.read_bytes()[32:])))
    assert kernels == [1, 2, 2, 2]


RECORD = FileRecord("engines/any.plan", 1, "ab" * 32)


def test_what_is_too_large_is_not_kept(cache, monkeypatch):
    monkeypatch.setattr(caches, "LARGEST", 5)
    kept = RuntimeCache.of(RECORD, MACHINE)
    kept.write(b"kernel")
    assert not cache.exists()
    kept.write(b"small")
    assert kept.read() == b"small"


def test_only_the_latest_are_kept(cache, monkeypatch):
    monkeypatch.setattr(caches, "MOST", 2)
    for number in range(4):
        RuntimeCache.of(replace(RECORD, sha256=f"{number}" * 64), MACHINE).write(b"kernels")
    assert len(list(cache.iterdir())) == 2


def test_a_folder_that_others_may_write_to_is_neither_read_nor_written(cache):
    """Kernels are code: what somebody else has put there is not run, and does not become ours."""
    kept = RuntimeCache.of(RECORD, MACHINE)
    kept.write(b"kernels")
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    assert kept.read() == b""
    kept.write(b"others")
    cache.chmod(0o700)
    assert kept.read() == b"kernels"


@pytest.mark.usefixtures("gpu")
def test_a_user_without_a_home_runs_all_the_same(planned, monkeypatch):
    monkeypatch.delenv("DIT4SR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(caches, "user_cache", lambda _: None)
    found = restored(planned, NAME, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


@pytest.mark.usefixtures("gpu")
def test_a_disk_that_takes_nothing_is_no_reason_to_stop(planned, cache):
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"in the way")
    found = restored(planned, NAME, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


# -------------------------------------------------------------------------------------------- commands


@pytest.mark.usefixtures("gpu")
def test_the_commands_know_it(planned, tmp_path, capsys):
    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    words = ["-m", str(planned.path), "--trust-engines"]
    restoring = [str(tmp_path / "a.png"), *words, "-o", str(tmp_path / "b.png"), "--backend", NAME]
    assert run_command(command, [*restoring, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["backend"] == "tensorrt-rtx/cuda"
    assert (tmp_path / "b.png").exists()
    assert run_command(front_door, ["doctor", str(planned.path), "--trust-engines"]) == 0
    said = capsys.readouterr().out
    assert "tensorrt-rtx/cuda would run it" in said
    assert "tensorrt would not: the bundle holds no engines for it" in said


@pytest.mark.usefixtures("gpu")
def test_plans_of_a_stranger_wait_for_a_word(planned, monkeypatch):
    stranger = Bundle.open(planned.path)
    with pytest.raises(IncompatibleError, match=r"was not built here; .*--trust-engines"):
        choose(stranger, NAME)
    assert choose(stranger).backend.name == "onnxruntime"
    assert [notice.split()[0] for notice in choose(stranger).notices] == [NAME]
    monkeypatch.setenv("DIT4SR_TRUST_ENGINES", "1")
    assert choose(Bundle.open(planned.path)).backend.name == NAME
    assert (planned.path / MANIFEST).exists()
