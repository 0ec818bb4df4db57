"""Which group of layers a node of a graph belongs to, by the names that the network's architecture gives.

A node belongs to the group of its weight; the operators of our own are told by their names, also after a
runtime has inlined them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.export.architectures.layer_names import LayerNames

_INNER = r"_inlfunc_(TRT_Attention|Gelu)(_token_\d+)?(?=_)"


@dataclass(frozen=True)
class Node:
    """A node of a graph, as far as its names tell where it belongs."""

    operator: str
    name: str
    weights: Sequence[str] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()

    @property
    def made_by(self) -> tuple[str, ...]:
        """Where a runtime keeps the name of the operator that it inlined."""
        return (self.operator, self.name, *self.outputs)


def group_of(node: Node, layers: LayerNames) -> str:
    """The group of a node of a bundle's graph: by its operator, or else by its weights."""
    return layers.group_of(node.made_by, node.weights)


def groups_of(nodes: Sequence[Node], layers: LayerNames) -> list[str]:
    """The groups of a runtime's graph, in which operators are inlined.

    Functions that stand inside our operators, such as the attention proper, are inlined under names of their
    own: they belong to the operator that they take values from or hand them to.
    """
    owners: dict[str, str] = {}
    for node in nodes:
        if call := _inner_call(node):
            owners[call] = owners.get(call) or layers.group_by_operator([*node.inputs, *node.outputs])
    return [owners.get(_inner_call(node), "") or group_of(node, layers) for node in nodes]


def _inner_call(node: Node) -> str:
    """Which inlined call of an inner function a node is part of, if of any."""
    calls = (re.search(_INNER, name) for name in (node.name, *node.outputs))
    return next((call[0] for call in calls if call), "")
