"""Multiply-accumulates of a module, counted on meta tensors under torch's own FLOP counter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def counted_macs(model: nn.Module, inputs: tuple[Any, ...], groups: Mapping[str, str]) -> Counter[str]:
    """Count multiply-accumulates by group: the first whose pattern matches the path of a module.

    Those that no group claims are an error, not a rounding.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    by_module = {path: sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
    del by_module["Global"]
    own = dict(by_module)
    for path, total in by_module.items():
        if parent := _nearest(path, by_module):
            own[parent] -= total
    macs: Counter[str] = Counter()
    for path, count in own.items():
        if count:
            macs[_group_of(path, groups)] += count
    return macs


def _nearest(path: str, modules: Mapping[str, int]) -> str:
    """Path of the closest enclosing module that was called; containers are not."""
    while path := path.rpartition(".")[0]:
        if path in modules:
            return path
    return ""


def _group_of(path: str, groups: Mapping[str, str]) -> str:
    for group, modules in groups.items():
        if re.search(modules, path):
            return group
    raise AssertionError(f"no group claims the multiply-accumulates of {path}")
