"""What a DPIR is made of, by our reading of the paper.

No code, weights or keys of DPIR are public, and much of it is not stated. Every choice that the paper leaves
open is a field here, its default is ours, and the line below it says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sizes import LARGEST_LATENT, MOST_LAYERS, check_sizes, shown
from dit4sr.runtime.errors import BadInputError

READING = "our reading of DPIR; no code or weights are public"
"""What must be said wherever such a network is shown."""


class Statistics(str, Enum):
    """What shares a mean and a spread, where features of the LQ branch are aligned to the main branch."""

    PICTURE = "picture"
    """All tokens and channels of a picture."""
    CHANNEL = "channel"
    """All tokens of a channel."""
    TOKEN = "token"
    """All channels of a token."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of tokens ``[R, N, D]`` that statistics are taken over."""
        return {Statistics.PICTURE: (1, 2), Statistics.CHANNEL: (1,), Statistics.TOKEN: (2,)}[self]


@dataclass(frozen=True)
class DpirConfig:
    """A DPIR's config: sizes of its backbone by diffusers' names, and every choice that is ours."""

    num_attention_heads: int = 24
    attention_head_dim: int = 64
    in_channels: int = 16
    patch_size: int = 2
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 2048
    pos_embed_max_size: int = 192
    sample_size: int = 128
    backbone: Stack = Stack(24, (), qk_norm=False)
    """SD3-Medium: the paper says SD3, with sixteen latent channels, and that is the one with open weights."""

    image_channels: int = 1024
    """Of a visual token: those of CLIP-L's tower, twin of the smallest of SD3's text encoders."""
    image_pooled_channels: int = 768
    """Of the pooled visual vector: the projection of CLIP-L."""
    image_tokens: int = 256
    """Of one crop: 16×16 patches of 14 pixels, all of CLIP-L's at 224."""
    image_layer: int = -2
    """The hidden states that are taken: the last but one, as SD3 takes of its text encoders."""
    class_token: bool = False
    """Whether the class token is one of the visual ones: no, for the pooled vector is made of it."""
    image_adapter_width: int = 4096
    """Hidden channels of the MLP that adapts visual tokens: as many as it ends with, those of T5's rows."""
    pooled_adapter_width: int = 2048
    """Hidden channels of the MLP that adapts the pooled vector: as many as it ends with."""
    own_global_adapter: bool = True
    """Whether the global crop has an adapter of its own: only by that can blocks tell it from the local."""
    global_reach: float = 2.0
    """Side of the global crop in sides of the local one: near surroundings at half the detail."""
    t5_tokens: int = 256
    """Tokens of the prompt that T5 is given: the default of SD3's pipeline."""

    lq_convolutions: int = 4
    """Of the LQ branch, "a few"; the last one cuts patches, so that its features are tokens."""
    lq_width: int = 256
    """Channels between the convolutions: a sixth of a token's, which keeps the branch light."""
    lq_kernel: int = 3
    """Side of all kernels but the last one's."""
    lq_scale: float = 1.0
    """Weight of the aligned features where they join: the paper's formula has none."""
    statistics: Statistics = Statistics.PICTURE
    """What shares a mean and a spread: all of a picture, as in the code of ControlNeXt, its model."""
    statistics_epsilon: float = 1e-6
    """Added to the variance that is divided by: as in the network's norms."""

    def __post_init__(self) -> None:
        check_sizes({name: getattr(self, name) for name in SIZES})
        check_sizes({"sample_size": self.sample_size}, LARGEST_LATENT)
        check_sizes({"lq_convolutions": self.lq_convolutions}, MOST_LAYERS)
        if self.lq_kernel % 2 == 0:
            raise ValueError(f"lq_kernel is {self.lq_kernel}, which has no middle")
        if type(self.image_layer) is not int or not -MOST_LAYERS <= self.image_layer < 0:
            raise ValueError(f"image_layer is {shown(self.image_layer)}, none counted from the last")
        for name in ("class_token", "own_global_adapter"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {shown(getattr(self, name))}")
        for name, least, most in (
            ("global_reach", 1, 64),
            ("lq_scale", 1e-3, 1e3),
            ("statistics_epsilon", 0, 1),
        ):
            number = getattr(self, name)
            if type(number) not in {int, float} or not least <= number <= most:
                raise ValueError(f"{name} is {shown(number)}, no number from {least:g} to {most:g}")

    @property
    def width(self) -> int:
        """Number of channels of a token, D in shapes."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def hidden_width(self) -> int:
        """Number of channels between the two linear layers of a feed-forward."""
        return 4 * self.width

    @property
    def base_grid(self) -> int:
        """The token grid that the positions were trained on."""
        return self.sample_size // self.patch_size

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, source: str) -> DpirConfig:
        """Read what ``to_json`` wrote."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        kinds: dict[str, Callable[[Any], Any]] = {"backbone": Stack.from_json, "statistics": Statistics}
        return checked(
            lambda: cls(**{name: kinds[name](v) if name in kinds else v for name, v in known.items()}), source
        )

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON that ``from_json`` reads."""
        return asdict(self) | {"backbone": self.backbone.to_json(), "statistics": self.statistics.value}


SIZES = (
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "patch_size",
    "joint_attention_dim",
    "pooled_projection_dim",
    "pos_embed_max_size",
    "image_channels",
    "image_pooled_channels",
    "image_tokens",
    "image_adapter_width",
    "pooled_adapter_width",
    "t5_tokens",
    "lq_width",
    "lq_kernel",
)
"""Fields that are whole numbers from one on."""


def checked(make: Callable[[], DpirConfig], source: str) -> DpirConfig:
    """Make a config, or say in one line what is wrong with what it was to be made of."""
    try:
        return make()
    except (TypeError, ValueError, KeyError) as error:
        raise BadInputError(
            f"{source}: no DPIR of our reading has this ({error})",
            expected="sizes and choices of a network that fit together",
        ) from None


SMALLEST = DpirConfig(
    num_attention_heads=2,  # of one the compiler leaves an attention without text queries in pieces
    attention_head_dim=32,
    joint_attention_dim=24,
    pooled_projection_dim=20,
    pos_embed_max_size=24,
    sample_size=8,
    backbone=Stack(3, (0,)),
    image_channels=64,
    image_pooled_channels=12,
    image_tokens=4,
    image_adapter_width=28,
    pooled_adapter_width=14,
    t5_tokens=8,
    lq_convolutions=3,
    lq_width=8,
)
"""Every kind of tensor in a few megabytes of weights: to try code with, and for tests."""
