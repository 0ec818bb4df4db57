"""A step with less work, for where part of the network is not heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Engine

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Lighter:
    """An engine that gives `step`'s answers wherever a tensor that `prepare` makes for each step is zero."""

    engine: Engine
    where_zero: str
    """The name of that tensor, ``[steps, rows, …]``."""


def engines_of_runs(
    step: Engine, lighter: Lighter | None, of_steps: Mapping[str, Floats], runs: int
) -> list[Engine]:
    """The engine of every run. The choice is made before the loop, which looks at no numbers."""
    if lighter is None:
        return [step] * runs
    weights = of_steps[lighter.where_zero]
    return [step if values.any() else lighter.engine for values in weights]


def different(engines: Iterable[Engine]) -> dict[int, Engine]:
    """Each of some engines once, by its identity."""
    return {id(engine): engine for engine in engines}
