"""Whether a quantised bundle is faster here than the one it was made of, and if it is not, why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.observe.tapped_upscaler import fits_in_memory
from dit4sr.calibrate.source import split_photos
from dit4sr.runtime.backends.onnxruntime import NAME as ONNX_RUNTIME
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

Samples = Sequence[float]
Measurement = Callable[[], float]

MOST_STEPS = 2
"""All steps of a picture cost the same."""
TOO_LARGE = "not timed: too large to be open together; dit4sr-bench measures each, and --compare compares"
LEAST_PAIRS, MOST_PAIRS = 6, 15
ENOUGH_SECONDS = 8.0
AGREEING = 7 / 8
"""Share of the pairs that must agree to call one faster; by chance they do once in 14 times at most."""


@dataclass(frozen=True)
class Speed:
    """Seconds of a step before and after, measured in turns, and what may be said of them."""

    backend: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    """Seconds of a step of either bundle; those at one place make a pair."""
    ratio: float
    """How many times as long a step takes after: the median of all pairs."""
    verdict: str
    """``faster``, ``slower``, or ``as fast``."""
    reason: str
    """Why it is no faster; empty if it is."""
    elsewhere: str
    """What this says nothing about."""

    @classmethod
    def of(cls, backend: str, before: Samples, after: Samples, precision: str, *, has_pairs: bool) -> Speed:
        """What two series say; ``has_pairs`` if linear layers compute between Q/DQ pairs."""
        ratios = [late / early for early, late in zip(before, after, strict=True)]
        shorter, longer = sum(ratio < 1 for ratio in ratios), sum(ratio > 1 for ratio in ratios)
        enough = AGREEING * len(ratios)
        verdict = "faster" if shorter >= enough else "slower" if longer >= enough else "as fast"
        return cls(
            backend,
            tuple(before),
            tuple(after),
            median(ratios),
            verdict,
            "" if verdict == "faster" else _reason(backend, has_pairs=has_pairs),
            f"TensorRT{', on an Ada, Hopper or newer GPU' if precision == 'fp8' else ''}: not measured",
        )

    def sentences(self) -> list[str]:
        """The measurement and its reason, for people."""
        times = f"{median(self.before) * 1e3:.3g} ms before, {median(self.after) * 1e3:.3g} ms after"
        conditions = f"{self.backend}, median of {len(self.before)} pairs"
        lines = [f"a step here: {times}, {self.ratio:.2f}× the time: {self.verdict} ({conditions})"]
        return [*lines, *([self.reason] if self.reason else []), self.elsewhere]


def compare_speed(
    config: CalibrationConfig, before: Bundle, after: Bundle, *, has_pairs: bool
) -> Speed | None:
    """Time the steps of both bundles in turns; ``None`` where both cannot be open together.

    Both run in ONNX Runtime, for the new bundle has no engines yet.
    """
    if not (fits_in_memory(before) and fits_in_memory(after)):
        return None
    _, held_out = split_photos(config, before)
    steps = min(config.steps or before.card.default_steps, MOST_STEPS)
    settings = Settings(steps=steps, guidance=config.guidance)
    with ExitStack() as stack:
        upscalers = [
            stack.enter_context(Upscaler(bundle, backend=ONNX_RUNTIME, threads=config.threads))
            for bundle in (before, after)
        ]

        def seconds_of_a_step(upscaler: Upscaler) -> float:
            return upscaler.upscale(held_out[0].photo, settings=settings).seconds["step"] / steps

        seconds = in_turns(*(partial(seconds_of_a_step, upscaler) for upscaler in upscalers))
        return Speed.of(upscalers[0].backend, *seconds, after.card.precision, has_pairs=has_pairs)


def in_turns(first: Measurement, second: Measurement) -> tuple[Samples, Samples]:
    """Call two measurements in turns, either of them first every other time; the first of each is a warm-up.

    What slows the machine for a while slows both.
    """
    first(), second()
    pairs: list[tuple[float, float]] = []
    while len(pairs) < MOST_PAIRS:
        if len(pairs) % 2:
            later, earlier = second(), first()
            pairs.append((earlier, later))
        else:
            pairs.append((first(), second()))
        if len(pairs) >= LEAST_PAIRS and sum(map(sum, pairs)) > ENOUGH_SECONDS:
            break
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _reason(backend: str, *, has_pairs: bool) -> str:
    widened = " to FP32" if backend.endswith("/cpu") else ""
    loading = (
        f"ONNX Runtime widens the weights{widened} when it loads them, and linear layers compute in float"
    )
    return f"{loading} as before{', with the rounding of what they read on top' if has_pairs else ''}"
