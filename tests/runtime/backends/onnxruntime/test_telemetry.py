"""ONNX Runtime reports to its maker unless it is told not to; what it would send from leaves a trace."""

from __future__ import annotations

import os
import subprocess
import sys

import onnxruntime
import pytest

OURS = "from dit4sr.runtime import Upscaler\nUpscaler().close()"
ITS_OWN = "import onnxruntime"


def traces(script, folder):
    """Names of what a process leaves in the folder for temporary files, started outside all tests."""
    mute = {"ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI"}
    environment = {name: value for name, value in os.environ.items() if name not in mute}
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**environment, "TMPDIR": str(folder)}, cwd=folder
    )
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29) or not sys.platform.startswith("linux"),
    reason="ONNX Runtime reports nothing here",
)
def test_the_trace_of_a_report_is_one_that_this_test_would_see(tmp_path):
    assert traces(ITS_OWN, tmp_path) == [".ses"]


def test_opening_a_bundle_begins_no_report(tmp_path):
    assert traces(OURS, tmp_path) == []
