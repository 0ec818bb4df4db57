"""How the layers of a network are told apart in its graph: by the names of their weights and operators."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STEP_PREFIX = "network."
"""What `Step` puts before the names of the network it wraps."""


@dataclass(frozen=True)
class LayerNames:
    """Names and groups of an architecture's layers, for whoever has only the graph."""

    by_weight: Mapping[str, str]
    """Groups of layers, and the pattern of the weights that each of them reads."""
    by_operator: Mapping[str, str]
    """Groups of layers, and the pattern of the operators of ours that each of them is."""
    wide: str
    """Pattern of the layers that stay in half precision whatever a calibration finds."""
    rest: str
    """Name of the layers that are in no group."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group of layers, in the order of the network."""
        return (*self.by_weight, self.rest)

    def layer_of(self, weight: str) -> str:
        """The layer that a weight of the graph belongs to."""
        return weight.removeprefix(STEP_PREFIX).removesuffix(".weight")

    def stays_wide(self, layer: str) -> bool:
        """True if the layer is small and the picture hangs on it, so that it is never quantised."""
        return re.search(self.wide, layer) is not None

    def group_of(self, operators: Sequence[str], weights: Sequence[str]) -> str:
        """The group of a node: by the names that tell its operator, or else by its weights."""
        return self.group_by_operator(operators) or self.group_by_weight(weights) or self.rest

    def group_by_weight(self, weights: Sequence[str]) -> str:
        """The group of the first weight that any group claims; empty if none does."""
        return _first_match(weights, self.by_weight)

    def group_by_operator(self, names: Sequence[str]) -> str:
        """The group of the first operator of ours that one of the names holds; empty if none does."""
        return _first_match(names, self.by_operator)


def _first_match(names: Sequence[str], patterns: Mapping[str, str]) -> str:
    found = (group for name in names for group, pattern in patterns.items() if re.search(pattern, name))
    return next(found, "")
