"""Figures of a network: its parameters, and the multiply-accumulates of running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MacCount = Mapping[str, int]
"""Multiply-accumulates by group of layers."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of one kind; dead ones never reach the output."""

    name: str
    origin: str
    live: int
    dead: int


@dataclass(frozen=True)
class ModelSummary:
    """The figures of a network for one size of picture, counted without its weights."""

    headline: str
    """One line that says how many blocks of what kind the network has."""
    tensors: int
    """Number of tensors in a published checkpoint."""
    parameters: tuple[ParameterGroup, ...]
    position_table: int
    """Number of elements in a stored table of positions, which is a buffer and no parameter."""
    resident: int
    """Number of parameters that stay in memory while the sampler steps."""
    released: MacCount
    """Multiply-accumulates of one evaluation of one row, as published."""
    simplified: MacCount
    """Multiply-accumulates of one row's step, simplified exactly, without what is done once per prompt."""
    notes: tuple[str, ...] = ()
    """What else there is to know: choices that no tensor tells, how the figures stand to published ones."""


def tera_flops(macs: MacCount, *, rows: int, steps: int) -> float:
    """Floating-point operations of a whole picture's sampling, in units of 10¹²."""
    return 2 * sum(macs.values()) * rows * steps / 1e12
