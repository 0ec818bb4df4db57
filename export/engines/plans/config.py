"""What to build plans of, for whichever of NVIDIA's two compilers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dit4sr.export.engines.plans.spans import Span

Form = Literal["plugin", "native"]


@dataclass(frozen=True)
class Forms:
    """The form of our operators in a plan: kernels of ours, or the standard operators of their bodies.

    Attention is what TensorRT has fused kernels for. The injected convolution becomes one kernel in either
    form. For two rows at full width that moves 75.5 MB as a plugin, which is a barrier to fusion; as standard
    operators 75.7 MB by the account of NVIDIA's compiler for RTX, which may fuse it with what follows. Native
    is therefore predicted to be as fast or faster, and needs nothing of ours. Not measured on a card.
    """

    joint_attention: Form = "native"
    depthwise_inject: Form = "native"

    def of(self, operator: str) -> Form:
        """The form of an operator by its name in the graph."""
        return self.joint_attention if operator.startswith("JointAttention") else self.depthwise_inject


NATIVE = Forms("native", "native")
"""Standard operators alone."""


@dataclass(frozen=True)
class PlanConfig:
    """Which components to compile, and for which sizes. Precision is no option: it is in the graph."""

    components: tuple[str, ...] = ()
    pictures: tuple[tuple[Span, Span], ...] = ()
    """Heights and widths of tiles in pixels; by default the training tile. The VAE's follow from them."""
    branches: tuple[int, ...] = (2, 1)
    """Rows for each picture: two for guided steps, one for the others."""
    images: tuple[int, ...] = (1,)
    """Tiles in one run of ``step``, as of ``--tile-batch``."""
    steps: int | None = None
    """Fixes them; by default any number up to 100."""
    text_tokens: int | None = None
    """Rows of a prompt; by default the bundle's."""
    sizes: Mapping[str, Span] = field(default_factory=dict)
    """Axes by name, over all that is said above."""
    allow_unfused: bool = False
