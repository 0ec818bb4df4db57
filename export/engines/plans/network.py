"""Reading a graph and compiling it, with either of NVIDIA's compilers, whose modules have the same names.

The native calls take seconds to minutes, in which Python does not look at signals, and what is raised in the
functions that they call in turn, as the logger's, is lost in them. They run on a thread of their own, so that
Ctrl-C reaches the one that waits, which then asks the compiler to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dit4sr.export.engines.plans.graph import PreparedGraph

_PAUSE = 0.1
"""Seconds between two looks at whether anybody wants the build to stop."""


def parse(parser: Any, graph: PreparedGraph, library: str) -> None:
    """Read a graph into a parser's network; what cannot be read is named."""
    # The path is where weights outside the graph are looked for.
    if parser.parse(graph.content, str(graph.path)):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    reasons = [f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors]
    raise RuntimeError(f"{library} cannot read {graph.path}: {'; '.join(reasons)}")


def monitor_class(trt: Any) -> Any:
    """The class of monitors of one of the two libraries."""

    class ProgressMonitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Passes on the phases of a build. The library calls it from threads of its own."""

        def __init__(self, progress: Callable[[str], None]) -> None:
            trt.IProgressMonitor.__init__(self)
            self._progress = progress
            self.is_stopped = False

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            """A phase begins; only the outermost are of interest."""
            if parent_phase is None:
                self._progress(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:  # noqa: ARG002
            """Go on, unless the build is not wanted any more."""
            return not self.is_stopped

        def phase_finish(self, phase_name: str) -> None:
            """Nothing is to be said of an end."""

    return ProgressMonitor


def built(build: Callable[[], Any], monitor: Any) -> Any:
    """Read and build on another thread; whatever ends the wait for it, as Ctrl-C does, stops the build."""
    answers: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(build())
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=run, name="plan builder")
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_PAUSE)
    except BaseException:
        monitor.is_stopped = True
        worker.join()
        raise
    if failures:
        raise failures[0]
    return answers[0]
