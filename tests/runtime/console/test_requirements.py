"""What is not installed is said at once, with the command that mends it."""

from __future__ import annotations

import pytest

from dit4sr.runtime.console.requirements import require, require_onnxruntime
from dit4sr.runtime.errors import MissingDependencyError


def test_what_is_there_is_no_obstacle():
    require("numpy", "click", extra="export")
    require_onnxruntime()


def test_every_missing_module_is_named_with_the_extra_that_brings_it():
    with pytest.raises(
        MissingDependencyError, match=r"^not installed: absent_a, absent_b; pip install 'dit4sr\[export\]'$"
    ):
        require("numpy", "absent_a", "absent_b", extra="export")


def test_either_of_two_extras_brings_onnxruntime(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = "backend onnxruntime: onnxruntime is not installed"
    remedy = r"pip install 'dit4sr\[cpu\]', or 'dit4sr\[gpu\]' for an NVIDIA GPU"
    with pytest.raises(MissingDependencyError, match=f"^{found}; {remedy}$"):
        require_onnxruntime()
