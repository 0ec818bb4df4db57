"""What quantising each MatMul by itself does to the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dit4sr.calibrate.search.evaluator import Evaluator, Verdict
from dit4sr.calibrate.search.trial_bundles import TrialBundles
from dit4sr.runtime.console.status import ShowStatus, show_nothing


def measure_sensitivity(
    evaluator: Evaluator, trials: TrialBundles, names: Sequence[str], show: ShowStatus = show_nothing
) -> dict[str, Verdict]:
    """Quantise each of these MatMuls alone, and evaluate the pictures."""
    verdicts = {}
    for place, name in enumerate(names, 1):
        show(f"sensitivity of {name} ({place} of {len(names)})")
        with trials.only({name}) as bundle:
            verdicts[name] = evaluator.evaluate(bundle)
    return verdicts


def most_sensitive_first(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Names of MatMuls by what quantising them costs the worst picture."""
    return sorted(verdicts, key=lambda name: verdicts[name].psnr)
