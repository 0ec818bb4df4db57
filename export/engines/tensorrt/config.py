"""Which plans to build, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dit4sr.export.engines.tensorrt.spans import Span

Form = Literal["plugin", "native"]


@dataclass(frozen=True)
class Forms:
    """The form of our operators in a plan: kernels of ours, or the standard operators of their bodies.

    Attention is what TensorRT has fused kernels for, while the injected convolution it would cut into pieces.
    Which is faster where has not been measured.
    """

    joint_attention: Form = "native"
    depthwise_inject: Form = "plugin"

    def of(self, operator: str) -> Form:
        """The form of an operator by its name in the graph."""
        return self.joint_attention if operator.startswith("JointAttention") else self.depthwise_inject


@dataclass(frozen=True)
class TensorRtConfig:
    """Precision is no option: it is in the graph."""

    architecture: int | None = None
    """The GPU it must be for, as in 90; TensorRT builds only for the one that is here."""
    components: tuple[str, ...] = ()
    pictures: tuple[tuple[Span, Span], ...] = ()
    """Heights and widths of tiles in pixels; by default the training tile. The VAE's follow from them."""
    branches: tuple[int, ...] = (2, 1)
    """Rows for each picture: two for guided steps, one for the others."""
    images: tuple[int, ...] = (1,)
    """Tiles in one run of ``step``, as of ``--tile-batch``."""
    steps: int | None = None
    """Fixes them; by default any number up to 100."""
    sizes: Mapping[str, Span] = field(default_factory=dict)
    """Axes by name, over all that is said above."""
    concurrency: int = 1
    """Runs at once of plans whose sizes are not fixed; the others know no such limit."""
    level: int = 3
    """0 builds fastest, 5 searches longest."""
    workspace: int | None = None
    """Bytes that a layer may use while it runs."""
    version_compatible: bool = False
    weight_stripped: bool = False
    """Plans without weights, which they take from the graph when they are opened: one copy for all."""
    allow_unfused: bool = False
    forms: Forms = Forms()
    timing_cache: Path | None = None
    """A folder; the user's cache folder by default."""
    verify: bool = True
    time_layers: bool = False
