"""A call recorded once and replayed: one launch instead of hundreds.

A recording (on a GPU a CUDA graph) reads and writes fixed memory, so it gets buffers of its own; every run
copies its inputs into them and its results out. A recording that fails to read a buffer answers every input
as it answered the first, which looks right until a second one comes: before it is trusted, it is run on two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Sequence[Any]
Call = Callable[[Tensors], Tensors]
Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Runs a call while recording it; returns what repeats it."""

WARM_RUNS = 2
"""Runs before a recording: libraries load kernels and allocate in the first ones."""

NEARNESS = 0.01
"""A replay may differ from the call by this share of what another input changes."""


class Replay:
    """A call on buffers of its own."""

    def __init__(self, call: Call, inputs: Tensors, record: Recorder) -> None:
        self._buffers = [tensor.clone() for tensor in inputs]
        self._results: Tensors = ()

        def on_buffers() -> None:
            self._results = call(self._buffers)

        self._repeat = record(on_buffers)

    def __call__(self, inputs: Tensors) -> Tensors:
        """Results that last until the next run."""
        for buffer, tensor in zip(self._buffers, inputs, strict=True):
            buffer.copy_(tensor)
        self._repeat()
        return self._results


def trusted_replay(call: Call, inputs: Tensors, record: Recorder) -> Replay | None:
    """A recording that answers two different inputs as the call does; none if it does not."""
    replay = Replay(call, inputs, record)
    others = [tensor.flip(-1) for tensor in inputs]
    expected = [_values(call(tensors)) for tensors in (inputs, others)]
    found = [_values(replay(tensors)) for tensors in (inputs, others)]
    return replay if replays_agree(expected, found) else None


def replays_agree(
    expected: Sequence[Sequence[NDArray[Any]]], found: Sequence[Sequence[NDArray[Any]]]
) -> bool:
    """True if replays on two inputs err by far less than the two answers differ."""
    for first, second, *replayed in zip(*expected, *found, strict=True):
        allowed = NEARNESS * _distance(second, first)
        # Written so that an answer that is no number fails.
        if not all(
            _distance(again, answer) <= allowed
            for again, answer in zip(replayed, (first, second), strict=True)
        ):
            return False
    return True


def _distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.linalg.norm(one.astype(np.float64) - other))


def _values(tensors: Tensors) -> list[NDArray[Any]]:
    """Copies, for a replay's results last no longer than until the next one."""
    return [tensor.double().cpu().numpy().copy() for tensor in tensors]
