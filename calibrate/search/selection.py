"""Which products stay in half precision: as few as the picture allows, the most sensitive first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dit4sr.calibrate.search.evaluator import Judge, Verdict
from dit4sr.calibrate.search.trial_bundles import Candidates
from dit4sr.runtime.errors import AccuracyError

Show = Callable[[str], None]


@dataclass(frozen=True)
class Gate:
    """How near the pictures must be."""

    max_psnr_drop: float
    min_psnr: float

    def lets(self, verdict: Verdict) -> bool:
        """Whether they are."""
        return verdict.passes(self.max_psnr_drop, self.min_psnr)


@dataclass(frozen=True)
class Decision:
    """What became of one product, and why."""

    name: str
    weights: int
    alone: Verdict | None
    """What quantising it alone does; ``None`` where that was not measured."""
    kept: bool


@dataclass(frozen=True)
class Choice:
    """The products kept in half precision, and what the pictures are like with that."""

    kept: frozenset[str]
    verdict: Verdict


def measure_alone(
    judge: Judge, candidates: Candidates, names: Sequence[str], show: Show = lambda _: None
) -> dict[str, Verdict]:
    """Quantise each product by itself and look at the pictures."""
    verdicts = {}
    for place, name in enumerate(names, 1):
        show(f"sensitivity of {name} ({place} of {len(names)})")
        with candidates.only({name}) as bundle:
            verdicts[name] = judge.judge(bundle)
    return verdicts


def most_sensitive_first(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Names by what quantising them costs the worst picture."""
    return sorted(verdicts, key=lambda name: verdicts[name].psnr)


def choose_kept(
    judge: Judge,
    candidates: Candidates,
    rank: Callable[[], Sequence[str]],
    gate: Gate,
    show: Show = lambda _: None,
) -> Choice:
    """The shortest head of the ranking that, kept in half precision, passes the gate.

    The ranking is asked for only if something has to be kept, because it can take longer than all else.

    Halving takes it that keeping more never makes a picture worse. Where noise breaks that, what is found
    still passes, for nothing is chosen that was not looked at; it may be longer than it need be.
    """

    def tried(names: Sequence[str]) -> Choice:
        show(f"judging with {len(names)} of {len(candidates.treatments)} products in half precision")
        kept = frozenset(names)
        with candidates.complete(kept) as bundle:
            return Choice(kept, judge.judge(bundle))

    best = tried([])
    if gate.lets(best.verdict):
        return best
    ranked = rank()
    fails, passes = 0, len(ranked)
    best = tried(ranked)
    if not gate.lets(best.verdict):
        raise _hopeless(best.verdict, gate)
    while passes - fails > 1:
        middle = (fails + passes) // 2
        choice = tried(ranked[:middle])
        if gate.lets(choice.verdict):
            passes, best = middle, choice
        else:
            fails = middle
    return best


def _hopeless(verdict: Verdict, gate: Gate) -> AccuracyError:
    drop = "unknown" if verdict.drop is None else f"{verdict.drop:.2f} dB"
    return AccuracyError(
        f"with all products in half precision {verdict.psnr:.1f} dB and a drop of {drop} are left",
        expected=f"{gate.min_psnr:g} dB or more, and a drop of {gate.max_psnr_drop:g} dB or less",
        fix="loosen --max-psnr-drop or --min-psnr",
    )
