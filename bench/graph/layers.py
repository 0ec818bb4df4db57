"""The groups of layers that costs and times are told by, and which group a node of a graph belongs to.

The groups are those of the fact sheet's table. A node belongs to the group of its weight; the operators
of our own are told by their names, also after a runtime has inlined them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

BETWEEN = "norms, modulation, sums"
"""Everything that is no product: bound by memory, not by arithmetic."""

_WEIGHTS = {
    "noise queries, keys, values": r"\.attn2?\.noise_qkv",
    "LR queries, keys, values": r"\.attn2?\.lr_qkv",
    "text queries, keys, values": r"\.attn\.(text_qkv|text_kv)",
    "joint attention": r"\.attn\.(text_)?norm_[qk]",
    "dual attention": r"\.attn2\.norm_[qk]",
    "noise output": r"\.attn2?\.noise_out",
    "LR output": r"\.attn2?\.lr_out",
    "text output": r"\.attn\.text_out",
    "image MLP": r"\.ff\.(expand|contract)",
    "LR injection": r"\.ff\.(taps|tap_bias|injected|factor)",
    "text MLP": r"\.text_(expand|contract)",
    "patches, velocity": r"(^|\.)(patch|output)\.",
}
_OPERATORS = {
    "dual attention": r"JointAttentionDual",
    "joint attention": r"JointAttention",
    "LR injection": r"DepthwiseInject",
}
_INNER = r"_inlfunc_(TRT_Attention|Gelu)(_token_\d+)?(?=_)"

GROUPS = (*_WEIGHTS, BETWEEN)


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


def group_of(operator: str, name: str, weights: Sequence[str]) -> str:
    """The group of a node of a bundle's graph."""
    return _own_group(Node(operator, name, weights))


def groups_of(nodes: Sequence[Node]) -> list[str]:
    """The groups of a runtime's graph, in which operators are inlined.

    Functions that stand inside our operators, such as the attention proper, are inlined under names of their
    own: they belong to the operator that they take values from or hand them to.
    """
    owners: dict[str, str] = {}
    for node in nodes:
        if call := _inner_call(node):
            owners[call] = owners.get(call) or _operator_group([*node.inputs, *node.outputs])
    return [owners.get(_inner_call(node), "") or _own_group(node) for node in nodes]


def _own_group(node: Node) -> str:
    """By the operator's name, or else by the weights'."""
    if group := _operator_group(node.made_by):
        return group
    for weight in node.weights:
        for group, pattern in _WEIGHTS.items():
            if re.search(pattern, weight):
                return group
    return BETWEEN


def _operator_group(names: Sequence[str]) -> str:
    """The group of the first operator of ours that one of the names holds."""
    found = (group for name in names for group, pattern in _OPERATORS.items() if re.search(pattern, name))
    return next(found, "")


def _inner_call(node: Node) -> str:
    """Which inlined call of an inner function a node is part of, if of any."""
    calls = (re.search(_INNER, name) for name in (node.name, *node.outputs))
    return next((call[0] for call in calls if call), "")
