"""What a network's config says that its layers are built by."""

from __future__ import annotations

from typing import Protocol


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
    def pooled_projection_dim(self) -> int:
        """Number of channels of the pooled text."""

    @property
    def pos_embed_max_size(self) -> int:
        """Side of the position table."""

    @property
    def base_grid(self) -> int:
        """The token grid that the positions were trained on."""
