"""What is installed: whichever of two builds brings a module, and neither."""

from __future__ import annotations

import importlib.metadata

import pytest

from dit4sr.export.exporter import LIBRARIES
from dit4sr.runtime.machine.libraries import installed_versions


@pytest.mark.parametrize("installed", [("onnxruntime",), ("onnxruntime-gpu",), ()])
def test_either_build_of_onnxruntime_is_recorded_and_neither_is_no_error(installed, monkeypatch):
    def version(name: str) -> str:
        if "onnxruntime" in name and name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = installed_versions(LIBRARIES)
    assert {name for name in found if "onnxruntime" in name} == set(installed)
    assert found["torch"] == found["numpy"] == "1.2.3"
