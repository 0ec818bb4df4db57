"""What the backends share: records of compiled components, and the first obstacle to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dit4sr.runtime.backends.compatibility import Compatibility, Obstacle
from dit4sr.runtime.backends.compiled import compiled_for
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.tensorrt.backend import TensorRtPlan
from dit4sr.runtime.backends.tensorrt_rtx.backend import RtxPlan
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, FileRecord, TensorSpec
from dit4sr.runtime.errors import IncompatibleError, IntegrityError

KINDS = (TensorRtPlan, RtxPlan, Package)
FILE = FileRecord("engines/any", 1, "0" * 64)
OTHER_INPUTS = (TensorSpec("tea", "float32", (1,)),)


@pytest.fixture
def bundle(toy_bundle) -> Bundle:
    """A step for either backend, with as many files as it takes."""
    bundle = Bundle.open(toy_bundle)
    engines = tuple(
        Engine(kind.backend, "step", (FILE,) * kind.file_count, "fp16", "sm_90", {}, ()) for kind in KINDS
    )
    return replace(bundle, manifest=replace(bundle.manifest, engines=engines), trusts_engines=True)


def with_engines(bundle: Bundle, **changes) -> Bundle:
    engines = tuple(replace(engine, **changes) for engine in bundle.engines)
    return replace(bundle, manifest=replace(bundle.manifest, engines=engines))


@pytest.mark.parametrize("kind", KINDS)
def test_each_backend_finds_its_own_for_the_target_that_is_here(bundle, kind):
    [found] = compiled_for(kind, bundle, "step", "sm_90")
    assert found.record.backend == kind.backend
    for component, target in (("step", "sm_80"), ("prepare", "sm_90")):
        with pytest.raises(IncompatibleError, match=f"no {kind.backend} engine of {component} for {target}"):
            compiled_for(kind, bundle, component, target)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes", [{"files": (FILE,) * 3}, {"inputs": OTHER_INPUTS}], ids=["files", "inputs"]
)
def test_a_record_that_is_not_of_its_component_is_refused(bundle, kind, changes):
    with pytest.raises(IntegrityError, match="engine of step is not one of that component"):
        compiled_for(kind, with_engines(bundle, **changes), "step", "sm_90")


def test_the_first_obstacle_is_told_and_the_others_are_not_looked_for():
    def obstacles():
        yield Obstacle("it rains", "take an umbrella", is_missing=True)
        raise AssertionError("looked for another")

    fit = Compatibility.of("toy", "the sun", "here", obstacles())
    assert (fit.fits, fit.obstacle, fit.remedy) == (
        False,
        "built for the sun, but it rains",
        "take an umbrella",
    )
    assert fit.is_missing
    assert Compatibility.of("toy", "the sun", "here", []).fits
