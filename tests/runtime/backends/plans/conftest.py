"""Both libraries that run plans, each on its fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import fake_tensorrt
from support.fake_tensorrt import FakeGpu
from support.tensorrt_bundle import plan_bundle

from dit4sr.runtime.backends.plans.backend import PlanBackend
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx
from dit4sr.runtime.bundles.bundle import Bundle


@dataclass(frozen=True)
class Library:
    """What a test needs of one library."""

    name: str
    backend: type[PlanBackend]
    gpu: type[FakeGpu]
    install: Callable[[pytest.MonkeyPatch, FakeGpu], None]
    write_bundle: Callable[[Path], Bundle]
    launches_to_record: int
    """Launches that making a recording takes."""


@pytest.fixture(scope="session", params=["tensorrt", "tensorrt-rtx"])
def library(request) -> Library:
    if request.param == "tensorrt":
        install = fake_tensorrt.install
        return Library("tensorrt", TensorRt, FakeGpu, install, lambda path: plan_bundle(path, FakeGpu()), 0)
    # It skips where there is no library to stand in for.
    from support import fake_tensorrt_rtx as fake  # noqa: PLC0415

    return Library("tensorrt-rtx", TensorRtx, fake.FakeRtxGpu, fake.install, fake.rtx_bundle, 2)


@pytest.fixture(scope="session")
def planned(library, tmp_path_factory) -> Bundle:
    """Plans for one tile with and without guidance, and a VAE for pictures of any size."""
    return library.write_bundle(tmp_path_factory.mktemp("planned") / "bundle")


@pytest.fixture
def gpu(library, monkeypatch, tmp_path) -> FakeGpu:
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    found = library.gpu()
    library.install(monkeypatch, found)
    return found
