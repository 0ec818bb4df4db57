"""A build that is ended from outside, in the middle of compiling: the bundle is as it was."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest

from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")


def ended_while_compiling(folder, number):
    """Build all plans of a copy of the model in the box; send a signal once the first plan is written."""
    shutil.copytree(tiny_bundle(), folder / "b")
    script = "from dit4sr.export.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "b", "--engine", "tensorrt-rtx", "--arch", "80"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not any(folder.glob(".b.*.partial/engines/**/*.plan")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert Bundle.open(folder / "b").manifest.engines == ()
    Bundle.open(folder / "b").verify()
    return process.returncode, error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_asked_to_end_leaves_nothing(tmp_path, number):
    code, error = ended_while_compiling(tmp_path, number)
    assert code == 128 + number
    assert "Traceback" not in error
    assert names(tmp_path) == ["b"]


def test_what_a_killed_build_left_goes_with_the_next(tmp_path):
    code, _ = ended_while_compiling(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    add_to(Bundle.open(tmp_path / "b"), RtxConfig(architectures=(80,), components=("prepare",)))
    assert names(tmp_path) == ["b"]
    assert {engine.component for engine in Bundle.open(tmp_path / "b").manifest.engines} == {"prepare"}
