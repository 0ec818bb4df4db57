"""The effect of a pass, as a difference of node counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

Pass = Callable[[ir.Model], None]


@dataclass(frozen=True)
class PassReport:
    """The nodes that a pass added and removed, by operator."""

    name: str
    difference: Mapping[str, int]

    def __str__(self) -> str:
        changes = ", ".join(f"{count:+} {op}" for op, count in sorted(self.difference.items()))
        return f"{self.name}: {changes or 'no change'}"


def node_counts(model: ir.Model) -> Counter[str]:
    """Count the nodes of the main graph by operator; ours are named with their domain."""
    return Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph)


def run_pass(model: ir.Model, change: Pass, name: str = "") -> PassReport:
    """Apply a pass and report what it changed."""
    before = node_counts(model)
    change(model)
    after = node_counts(model)
    difference = {op: after[op] - before[op] for op in before | after if after[op] != before[op]}
    return PassReport(name or change.__name__, difference)
