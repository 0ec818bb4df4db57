"""What a compiler says that it made of a graph, as the manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class GroupAccount:
    """The kernels of one group of layers together."""

    group: str
    kernels: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class LoneCopy:
    """A kernel that computes nothing: it casts, or moves."""

    kernel: str
    bytes: int
    nodes: tuple[str, ...]
    """The ONNX nodes that it came from."""


@dataclass(frozen=True)
class PlanAccount:
    """Counts over the layers of a plan, made when it was compiled and before it ever ran."""

    compiler: str
    """Name and version."""
    sizes: Mapping[str, int]
    """The sizes of the axes at which FLOPs and bytes are counted."""
    kernels: Mapping[str, int]
    """How many kernels of each kind."""
    attentions: int
    """How many the graph has."""
    fused_attentions: int
    products: Mapping[str, int]
    """How many products of matrices by the precision of their operands."""
    quantised_products: int
    """How many layers the graph has whose operands are both quantised; streams may share one."""
    flops: int
    bytes_read: int
    bytes_written: int
    bytes: Mapping[str, int]
    """Read and written by each kind of kernel."""
    groups: tuple[GroupAccount, ...] = ()
    copies: tuple[LoneCopy, ...] = ()
    """The largest of the kernels that compute nothing."""
    narrow_products: int = 0
    """How many of the quantised products run in eight bits; one may take several kernels."""
