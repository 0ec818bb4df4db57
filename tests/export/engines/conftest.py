"""One bundle with inductor engines for all tests: compiling is what takes long."""

from __future__ import annotations

import pytest
import torch
from support.small_system import small_system

from dit4sr.export.engines.inductor.builder import add_to
from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.runtime.bundles.bundle import Bundle


@pytest.fixture(scope="session")
def unrounded(tmp_path_factory) -> Bundle:
    """The same system in FP32, without engines."""
    system, path = small_system(), tmp_path_factory.mktemp("unrounded") / "bundle"
    config = ExportConfig(path, precision="fp32", verify=False)
    export_bundle(system, config)
    return Bundle.open(path)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Bundle:
    """The smallest system in FP16, with packages for guided steps on the CPU."""
    torch.set_num_threads(1)
    system = small_system()
    path = tmp_path_factory.mktemp("compiled") / "bundle"
    config = ExportConfig(path, verify=False)
    export_bundle(system, config)
    add_to(Bundle.open(path), system, InductorConfig(device="cpu", branches=(2,)))
    return Bundle.open(path)
