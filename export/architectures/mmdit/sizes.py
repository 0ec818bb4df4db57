"""What a network's config says that its layers are built by."""

from __future__ import annotations

from typing import Protocol

from dit4sr.runtime.errors import BadInputError

SIZES = (
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "patch_size",
    "joint_attention_dim",
    "pooled_projection_dim",
    "pos_embed_max_size",
)
"""Sizes that shapes tell, by diffusers' names."""


class TokenSizes(Protocol):
    """The sizes of a network of SD3's kind that its layers are built by."""

    @property
    def in_channels(self) -> int:
        """Number of channels of a latent."""

    @property
    def patch_size(self) -> int:
        """Side of the patches of a latent that are tokens."""

    @property
    def width(self) -> int:
        """Number of channels of a token."""

    @property
    def attention_head_dim(self) -> int:
        """Number of channels of a head."""

    @property
    def hidden_width(self) -> int:
        """Number of channels between the two linear layers of a feed-forward."""

    @property
    def joint_attention_dim(self) -> int:
        """Number of channels of a prompt's rows."""

    @property
    def pooled_projection_dim(self) -> int:
        """Number of channels of the pooled text."""

    @property
    def pos_embed_max_size(self) -> int:
        """Side of the position table."""

    @property
    def sample_size(self) -> int:
        """Side of the latents that the positions were trained on."""

    @property
    def base_grid(self) -> int:
        """The token grid that the positions were trained on."""


def latent_of(picture: tuple[int, int], sizes: TokenSizes, factor: int) -> tuple[int, int]:
    """Height and width of a picture's latent, whose patches must fit the position table."""
    multiple = factor * sizes.patch_size
    largest = multiple * sizes.pos_embed_max_size
    if any(side < multiple or side % multiple or side > largest for side in picture):
        raise BadInputError(
            f"a picture of {picture[0]}×{picture[1]}", expected=f"multiples of {multiple} up to {largest}"
        )
    return picture[0] // factor, picture[1] // factor
