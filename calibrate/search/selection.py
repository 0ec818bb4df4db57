"""Which MatMuls stay in half precision: as few as the picture allows, the most sensitive first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dit4sr.calibrate.search.evaluator import Evaluator, Verdict
from dit4sr.calibrate.search.gate import Gate
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.runtime.console.status import ShowStatus, show_nothing


@dataclass(frozen=True)
class Selection:
    """The MatMuls kept in half precision, and what the pictures are like with that."""

    kept: frozenset[str]
    verdict: Verdict


def select_kept(
    evaluator: Evaluator,
    trials: TrialBundles,
    rank: Callable[[], Sequence[str]],
    gate: Gate,
    show: ShowStatus = show_nothing,
) -> Selection:
    """The shortest head of the ranking that, kept in half precision, passes the gate.

    The ranking is asked for only if something has to be kept, because it can take longer than all else.

    Halving takes it that keeping more never makes a picture worse. Where noise breaks that, what is found
    still passes, for nothing is selected that was not evaluated; it may be longer than it need be.
    """

    def tried(names: Sequence[str]) -> Selection:
        show(f"evaluating with {len(names)} of {len(trials.qparams)} MatMuls in half precision")
        kept = frozenset(names)
        with trials.complete(kept) as bundle:
            return Selection(kept, evaluator.evaluate(bundle))

    best = tried([])
    if gate.passes(best.verdict):
        return best
    ranked = rank()
    fails, passes = 0, len(ranked)
    best = tried(ranked)
    if not gate.passes(best.verdict):
        left = f"{best.verdict.psnr:.1f} dB and {best.verdict.drop_text} are left"
        raise gate.refusal(f"with all MatMuls in half precision {left}")
    while passes - fails > 1:
        middle = (fails + passes) // 2
        selection = tried(ranked[:middle])
        if gate.passes(selection.verdict):
            passes, best = middle, selection
        else:
            fails = middle
    return best
