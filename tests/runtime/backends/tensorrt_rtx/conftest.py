"""Plans, a folder for kernels, and a device on which nothing has been compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_tensorrt_rtx import (
    FakeRtxGpu,
    another_process,
    rtx_bundle,
)

from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.bundles.bundle import Bundle


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
