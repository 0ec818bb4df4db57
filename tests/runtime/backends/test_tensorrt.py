"""What is only TensorRT's: weights from the graph, kernels of ours, versions, and every refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.fake_tensorrt import MACHINE, FakeGpu, install, other
from support.plan_pictures import photo, restored
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.plans.memory import device_array
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS, compatibility
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import IncompatibleError, IntegrityError, MissingDependencyError


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Bundle:
    """Plans for one tile with and without guidance, and a VAE for pictures of any size."""
    return plan_bundle(tmp_path_factory.mktemp("planned") / "bundle", FakeGpu())


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    found = FakeGpu()
    install(monkeypatch, found)
    return found


def test_weights_that_are_not_in_the_plan_come_from_the_graph(tmp_path, gpu):
    bundle = plan_bundle(tmp_path / "bundle", gpu, weight_stripped=True)
    assert all(engine.plan.is_stripped for engine in bundle.engines)
    found = restored(bundle, "tensorrt", photo(8, 8))
    np.testing.assert_array_equal(found, restored(bundle, "onnxruntime", photo(8, 8)))
    (bundle.path / bundle.components["step"].graph.path).write_bytes(b"other weights")
    with pytest.raises(IntegrityError, match=r"step\.onnx"):
        restored(bundle, "tensorrt", photo(8, 8))


def test_a_plan_that_the_library_rejects_is_one_line(planned, gpu):
    backend = TensorRt(gpu)
    gpu.machine = other(version="11.5")
    with pytest.raises(IncompatibleError, match=r"step.*\.plan cannot be loaded: TensorRT rejects"):
        step = backend.open(planned, "step")
        arrays = {
            spec.name: device_array(gpu, [2 if axis in {"rows", "branches"} else axis for axis in spec.shape])
            for spec in step.inputs
        }
        step.context().run(arrays)


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
