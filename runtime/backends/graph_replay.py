"""A call recorded once and replayed: one launch instead of hundreds.

A recording (on a GPU a CUDA graph) reads and writes fixed memory, so it gets buffers of its own; every run
copies its inputs into them and its results out. A recording that fails to read a buffer answers every
question as it answered the first, which looks right until somebody asks a second one: before it is trusted,
it is asked two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Tensors = Sequence[Any]
Call = Callable[[Tensors], Tensors]
Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Runs a call while recording it; returns what repeats it."""

NEARNESS = 0.01
"""A replay may differ from the call by this share of what another question changes."""


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
    """A recording that answers two different questions as the call does; none if it does not."""
    replay = Replay(call, inputs, record)
    others = [tensor.flip(-1) for tensor in inputs]
    expected = [[answer.clone() for answer in call(question)] for question in (inputs, others)]
    found = [[answer.clone() for answer in replay(question)] for question in (inputs, others)]
    for first, second, *replayed in zip(*expected, *found, strict=True):
        allowed = NEARNESS * _norm(second - first)
        # Written so that an answer that is no number fails.
        if not all(
            _norm(again - answer) <= allowed for again, answer in zip(replayed, (first, second), strict=True)
        ):
            return None
    return replay


def _norm(tensor: Any) -> float:
    return float(tensor.double().square().sum().sqrt())
