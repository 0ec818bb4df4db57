"""Whether the quantised bundle is faster here: what is said of timings, and that both are timed in turns."""

from __future__ import annotations

from statistics import median

import pytest

from dit4sr.calibrate import speed
from dit4sr.calibrate.speed import LEAST_PAIRS, MOST_PAIRS, Speed, in_turns

CPU = "onnxruntime/cpu"


def said(before, after, precision="fp8", *, has_pairs=True, backend=CPU) -> Speed:
    return Speed.of(backend, before, after, precision, has_pairs=has_pairs)


def test_one_that_takes_longer_is_called_slower_and_the_reason_is_the_backends():
    found = said([0.1] * 8, [0.13] * 7 + [0.05])
    assert (found.verdict, found.ratio) == ("slower", pytest.approx(1.3))
    text = " ".join(found.sentences())
    assert "a step here: 100 ms before, 130 ms after, 1.30× the time: slower" in text
    assert "(onnxruntime/cpu, median of 8 pairs)" in text
    assert "widens the weights to FP32 when it loads them" in text
    assert "TensorRT, on an Ada, Hopper or newer GPU: not measured" in text


def test_one_that_is_faster_needs_no_reason():
    found = said([0.2] * 6, [0.1] * 6, "int8")
    assert (found.verdict, found.ratio, found.reason) == ("faster", 0.5, "")
    assert found.sentences()[1:] == ["TensorRT: not measured"]


@pytest.mark.parametrize("longer", range(1, 6))
def test_pairs_that_disagree_say_nothing(longer):
    found = said([0.1] * 6, [0.11] * longer + [0.09] * (6 - longer))
    assert found.verdict == "as fast"
    assert found.reason


@pytest.mark.parametrize(
    ("backend", "has_pairs", "widens", "rounds"),
    [
        (CPU, True, True, True),
        (CPU, False, True, False),
        ("onnxruntime/cuda", True, False, True),
        ("onnxruntime/cuda", False, False, False),
    ],
)
def test_the_reason_follows_from_backend_and_form(backend, has_pairs, widens, rounds):
    reason = said([0.1] * 6, [0.2] * 6, has_pairs=has_pairs, backend=backend).reason
    assert ("to FP32" in reason) is widens
    assert ("with the rounding of what they read on top" in reason) is rounds


def test_measurements_take_turns_after_a_warm_up_and_what_slows_both_cancels():
    calls: list[str] = []

    def measured(name: str, seconds: float) -> float:
        """A machine that is cold at first, and whose every pair of turns is half as slow again."""
        calls.append(name)
        turn = len(calls) // 2 + len(calls) % 2 - 1
        return seconds * (1000 if turn == 0 else 1.5**turn)

    before, after = in_turns(lambda: measured("a", 1e-6), lambda: measured("b", 2e-6))
    assert "".join(calls[:8]) == "ab" + "ab" + "ba" + "ab"
    assert before == pytest.approx([1e-6 * 1.5**turn for turn in range(1, MOST_PAIRS + 1)])
    assert [late / early for early, late in zip(before, after, strict=True)] == pytest.approx(
        [2] * MOST_PAIRS
    )


def test_slow_steps_end_early():
    before, _ = in_turns(lambda: speed.ENOUGH_SECONDS, lambda: 1.0)
    assert len(before) == LEAST_PAIRS
    assert median(before) == speed.ENOUGH_SECONDS
