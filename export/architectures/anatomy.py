"""What a network is made of and what running it multiplies, as figures."""

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
class Anatomy:
    """The figures of a network for one size of picture, counted without its weights."""

    summary: str
    """One line: how many blocks of what."""
    tensors: int
    """Tensors of a published checkpoint."""
    parameters: tuple[ParameterGroup, ...]
    position_table: int
    """Elements of a stored table of positions, which is a buffer and no parameter."""
    resident: int
    """Parameters that stay in memory while stepping."""
    released: MacCount
    """One evaluation of one row, as published."""
    simplified: MacCount
    """The same after exact simplification; what is done once per prompt is not in it."""


def tera_flops(macs: MacCount, *, rows: int, steps: int) -> float:
    """Floating-point operations of a whole picture's sampling, in units of 10¹²."""
    return 2 * sum(macs.values()) * rows * steps / 1e12
