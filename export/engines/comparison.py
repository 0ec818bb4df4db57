"""An engine's answers beside those of its graph, compared by Polygraphy with our bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from polygraphy.comparator import Comparator, IterationResult, RunResults
from polygraphy.logger import G_LOGGER

from dit4sr.export.verify import Arrays, relative_error
from dit4sr.runtime.bundles.manifest import Check


@dataclass(frozen=True)
class Verdict:
    """One output's error and bound; true where the bound holds, as Polygraphy wants its verdicts."""

    check: Check

    def __bool__(self) -> bool:
        # Written so that an error that is no number fails.
        return self.check.error <= self.check.allowed


@dataclass(frozen=True)
class Comparison:
    """One run of an engine and of its graph on the same inputs."""

    component: str
    inputs: Arrays
    golden: Arrays
    """The graph's outputs by name."""
    found: Arrays
    """The engine's outputs by name."""
    allowed: Mapping[str, float]
    """By output, the largest error: root mean square of the difference, relative to the graph's."""

    def verdicts(self) -> list[Verdict]:
        """One for each output, in the graph's order."""
        results = RunResults()
        results.add([self.golden], runner_name="graph")
        results.add([self.found], runner_name="engine")
        with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
            [accuracy] = Comparator.compare_accuracy(results, compare_func=self._judged)
        [[verdicts]] = accuracy.values()
        return list(verdicts.values())

    def _judged(self, golden: IterationResult, found: IterationResult) -> OrderedDict[str, Verdict]:
        """Polygraphy's own metric of this kind (`snr`) computes in single precision; ours does in double."""
        verdicts = OrderedDict()
        for name, exact in golden.items():
            error = relative_error(found[name], exact)
            verdicts[name] = Verdict(Check(self.component, name, error, self.allowed[name]))
        return verdicts
