"""What fits which card: the library, the manifest, the header of a plan, and every refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import fake_tensorrt
from support.fake_tensorrt_rtx import (
    MACHINE,
    STANDS_FOR,
    VERSION,
    FakeRtxGpu,
    other,
    trt,
)
from support.plan_pictures import photo, restored
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.plans.library import logger_class
from dit4sr.runtime.backends.tensorrt_rtx import NAME, TARGETS
from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx
from dit4sr.runtime.backends.tensorrt_rtx.compatibility import compatibility
from dit4sr.runtime.backends.tensorrt_rtx.library import validity_of
from dit4sr.runtime.backends.tensorrt_rtx.validity import Validity, refusal
from dit4sr.runtime.errors import IncompatibleError, MissingDependencyError, OutOfMemoryError


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
