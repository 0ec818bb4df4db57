"""Recordings of its own, and what the commands know of it."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
from PIL import Image
from support.fake_tensorrt import OURS
from support.fake_tensorrt_rtx import (
    FakeContext,
    trt,
)
from support.plan_pictures import photo, restored

from dit4sr.__main__ import command as front_door
from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import IncompatibleError

RECORDED = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE


def test_the_library_records_what_is_fixed_and_nothing_else(planned, gpu):
    restored(planned, NAME, photo(8, 8))
    assert gpu.strategies.count(RECORDED) == 1
    assert gpu.executions == len(gpu.strategies) == 5  # of four components, and the recording of one


def test_a_recording_runs_beside_our_stream_and_in_its_order(planned, gpu):
    """The library records the stream it is given: nobody else may put anything on it."""
    restored(planned, NAME, photo(8, 8))
    sides = {stream for stream, _ in gpu.waits} - {OURS}
    [side] = sides
    assert gpu.waits == [(side, OURS), (OURS, side)] * gpu.launches


def test_a_recording_that_is_trusted_stands_alone(planned, gpu, monkeypatch):
    """The context that ran before it gives its memory back."""
    contexts = weakref.WeakSet()
    make = FakeContext.__init__

    def made(self, *arguments) -> None:
        contexts.add(self)
        make(self, *arguments)

    monkeypatch.setattr(FakeContext, "__init__", made)
    with Upscaler(planned, backend=NAME, use_cache=False) as upscaler:
        upscaler.upscale(photo(8, 8))
        gc.collect()
        assert len(contexts) == gpu.executions - 1


@pytest.mark.usefixtures("gpu")
def test_the_commands_know_it(planned, tmp_path, capsys):
    Image.fromarray(photo(8, 8)).save(tmp_path / "a.png")
    words = ["-m", str(planned.path), "--trust-engines"]
    restoring = [str(tmp_path / "a.png"), *words, "-o", str(tmp_path / "b.png"), "--backend", NAME]
    assert run_command(command, [*restoring, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["backend"] == "tensorrt-rtx/cuda"
    assert (tmp_path / "b.png").exists()
    assert run_command(front_door, ["doctor", str(planned.path), "--trust-engines"]) == 0
    said = capsys.readouterr().out
    assert "tensorrt-rtx/cuda would run it" in said
    assert "tensorrt would not: the bundle holds no engines for it" in said


@pytest.mark.usefixtures("gpu")
def test_plans_of_a_stranger_wait_for_a_word(planned, monkeypatch):
    stranger = Bundle.open(planned.path)
    with pytest.raises(IncompatibleError, match=r"was not built here; .*--trust-engines"):
        choose(stranger, NAME)
    assert choose(stranger).backend.name == "onnxruntime"
    assert [notice.split()[0] for notice in choose(stranger).notices] == [NAME]
    monkeypatch.setenv("DIT4SR_TRUST_ENGINES", "1")
    assert choose(Bundle.open(planned.path)).backend.name == NAME
    assert (planned.path / MANIFEST).exists()
