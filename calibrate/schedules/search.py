"""The search itself, which costs no restoration: every schedule it looks at is predicted.

It begins with a whole schedule and makes the change that costs the least for the rows that it saves, one
after the other, until two rows are left; what it passes at a cost that is asked for is then improved by
changes that cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dit4sr.calibrate.schedules.candidate import Candidate
from dit4sr.calibrate.schedules.prediction import Predictor

CHEAPER = {"g": "uhx", "u": "hx"}
REACH = 3
"""How far apart two steps may be that exchange their letters."""
ROUNDS = 6


def cheapest_ways(whole: Candidate, predictor: Predictor, letters: str = "uhx") -> dict[int, Candidate]:
    """Schedules of falling cost, by their rows; each has one of these letters more than the one before."""
    best, loss = whole, predictor.loss(whole)
    found = {best.rows: best}
    while changes := list(_savings(best, letters)):
        priced = [(predictor.loss(each), each) for each in changes]
        loss, best = min(priced, key=lambda one: ((one[0] - loss) / (best.rows - one[1].rows), one[1].key))
        found[best.rows] = best
    return found


def improved(candidate: Candidate, predictor: Predictor) -> Candidate:
    """The best that changes of the same cost lead to: letters exchanged, or a velocity held and not drawn."""
    best, loss = candidate, predictor.loss(candidate)
    for _ in range(ROUNDS):
        before = loss
        for change in list(_exchanges(best)):
            if (other := predictor.loss(change)) < loss:
                best, loss = change, other
        if loss == before:
            break
    return best


def within(found: dict[int, Candidate], rows: int, predictor: Predictor) -> Candidate | None:
    """The best of some schedules that costs no more than so many rows."""
    cheap = [each for cost, each in found.items() if cost <= rows]
    return min(cheap, key=predictor.loss) if cheap else None


def best_of(
    ways: Sequence[dict[int, Candidate]], rows: int, predictor: Predictor, count: int
) -> list[Candidate]:
    """The best few of several searches for one cost, improved."""
    chosen = [each for way in ways if (each := within(way, rows, predictor)) is not None]
    better = [improved(each, predictor) for each in sorted(chosen, key=predictor.loss)[:count]]
    return list(dict.fromkeys(better))


def _savings(candidate: Candidate, letters: str) -> Iterator[Candidate]:
    """Every schedule with one step made cheaper; the first step keeps its run."""
    for step, letter in enumerate(candidate.velocities):
        for cheaper in CHEAPER.get(letter, ""):
            if cheaper in letters and (step > 0 or cheaper == "u"):
                yield _with(candidate, {step: cheaper})


def _exchanges(candidate: Candidate) -> Iterator[Candidate]:
    words = candidate.velocities
    for step in range(1, len(words)):
        if words[step] in "hx":
            yield _with(candidate, {step: "x" if words[step] == "h" else "h"})
        for other in range(step + 1, min(step + 1 + REACH, len(words))):
            if words[step] != words[other]:
                yield _with(candidate, {step: words[other], other: words[step]})


def _with(candidate: Candidate, letters: dict[int, str]) -> Candidate:
    words = [letters.get(step, letter) for step, letter in enumerate(candidate.velocities)]
    return replace(candidate, velocities="".join(words))
