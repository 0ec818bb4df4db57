"""What long work shows on a terminal, and that it shows nothing in a pipe."""

from __future__ import annotations

import io
import sys
import time

import pytest

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.console import progress
from dit4sr.runtime.console.progress import PictureProgress, StatusLine, show_progress
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver
from dit4sr.runtime.sampling.tiles import Tiling
from dit4sr.runtime.upscaler import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def errors_to(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Within a test: pytest puts streams of its own in place between setting up and calling one."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_line_is_written_over_and_gone_at_the_end(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    with StatusLine() as line:
        line.show("a longer text")
        line.show("a text")
    assert terminal.getvalue() == "\ra longer text\ra text       \r      \r"


def test_a_line_that_was_not_shown_leaves_nothing_to_clear(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    with StatusLine(is_wanted=False) as line:
        line.show("a text")
    with StatusLine():
        pass
    assert terminal.getvalue() == ""


def test_a_pipe_stays_quiet(monkeypatch):
    pipe = errors_to(io.StringIO(), monkeypatch)
    with StatusLine() as line:
        line.show("a text")
        show_progress("another")
    assert pipe.getvalue() == ""


def test_progress_stays_in_lines_of_its_own(monkeypatch):
    terminal = errors_to(Terminal(), monkeypatch)
    show_progress("one")
    show_progress("two")
    assert terminal.getvalue() == "… one\n… two\n"


# ------------------------------------------------------------------------------------------------- pictures

COSTS = {"vae_encoder": 1.0, "prepare": 0.0, "step": 1.0, "vae_decoder": 8.0}


class Watched:
    """A job's progress on a terminal, at a time that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pictures: int = 1, steps: int = 2) -> None:
        self.terminal = errors_to(Terminal(), monkeypatch)
        self.time = 0.0
        self.progress = PictureProgress(StatusLine(), pictures, lambda _: COSTS, lambda: self.time)
        schedule = SamplingSchedule.of(steps, 3.0, Solver.EULER, Guidance(1.0))
        whole = Tiling(8, 8, 8, 8, 0)
        self.plan, self.item, self.done = Plan(whole, whole, schedule, 1), Item("a.png", None, None, "PNG"), 0

    def begin(self, stage: str) -> None:
        self.progress.begin(self.item, stage)

    def run(self, stage: str, seconds: float) -> None:
        """A run that takes so long."""
        self.time += seconds
        self.done += 1
        self.progress.update(self.item, Progress(stage, self.done, self.plan.counted, self.plan))

    @property
    def line(self) -> str:
        return self.terminal.getvalue().rpartition("\r")[2].rstrip()


def test_time_left_counts_the_decoder_for_what_it_costs(monkeypatch):
    watched = Watched(monkeypatch)
    watched.begin("vae_encoder")
    watched.run("vae_encoder", 10)
    assert watched.line == "a.png  vae_encoder 9%  1:40 left"  # two steps of 10 s, and 80 s of decoder
    watched.run("step", 10)
    watched.run("step", 10)
    assert watched.line == "a.png  step 27%  1:20 left"
    watched.run("vae_decoder", 80)
    assert watched.line == "a.png  vae_decoder 100%  0:00 left"


def test_the_line_moves_while_a_run_takes_its_time(monkeypatch):
    watched = Watched(monkeypatch)
    watched.begin("vae_encoder")
    watched.run("vae_encoder", 10)
    watched.begin("step")
    seen = []
    for _ in range(3):
        watched.time += 3
        watched.progress.show()
        seen.append(watched.line)
    assert seen == ["a.png  step 12%  1:37 left", "a.png  step 15%  1:34 left", "a.png  step 17%  1:31 left"]


def test_a_thread_looks_at_the_clock_while_nothing_else_happens(monkeypatch):
    watched = Watched(monkeypatch)
    monkeypatch.setattr(progress, "_TICK", 0.01)
    with watched.progress:
        watched.begin("opening step")
        watched.time = 75
        deadline = time.monotonic() + 20
        while watched.line != "a.png  opening step  1:15":
            assert time.monotonic() < deadline
            time.sleep(0.005)
    assert watched.line == ""


def test_opening_is_said_and_not_taken_for_a_run(monkeypatch):
    watched = Watched(monkeypatch)
    watched.begin("opening vae_encoder")
    assert watched.line == "a.png  opening vae_encoder  0:00"
    watched.time += 60
    watched.begin("vae_encoder")
    watched.run("vae_encoder", 1)
    assert watched.line.endswith("0:10 left")  # two steps and a decoder, at a second for each unit of cost


def test_further_pictures_take_what_the_finished_ones_took(monkeypatch):
    watched = Watched(monkeypatch, pictures=3)
    for stage, seconds in (("vae_encoder", 10), ("step", 10), ("step", 10), ("vae_decoder", 30)):
        watched.begin(stage)
        watched.run(stage, seconds)
    watched.progress.finish_picture()
    watched.done = 0
    watched.begin("vae_encoder")
    watched.run("vae_encoder", 10)
    assert watched.line == "[2/3] a.png  vae_encoder 17%  1:50 left"  # 50 s of this one, 60 s of the last


def test_nothing_is_counted_for_a_pipe(monkeypatch):
    errors_to(io.StringIO(), monkeypatch)

    def costs(_plan: Plan) -> dict[str, float]:
        raise AssertionError("counted for nobody")

    quiet = PictureProgress(StatusLine(), 1, costs)
    watched = Watched(monkeypatch)
    quiet.update(watched.item, Progress("step", 1, watched.plan.counted, watched.plan))
