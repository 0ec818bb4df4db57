"""The three token streams of a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Streams(NamedTuple):
    """The tokens of the streams, in the order noise, LR, text; an absent stream is None and stays so."""

    noise: Tensor
    lr: Tensor | None = None
    text: Tensor | None = None

    def each(
        self, image: Callable[[Tensor], Tensor], text: Callable[[Tensor], Tensor] | None = None
    ) -> Streams:
        """Apply one function to the noise and LR streams, one to text; with none for it, text is left out."""
        return Streams(
            image(self.noise),
            None if self.lr is None else image(self.lr),
            None if self.text is None or text is None else text(self.text),
        )

    def plus(self, other: Streams) -> Streams:
        """Add other streams to these, one by one; what ``other`` lacks is left as it is."""

        def add(stream: Tensor | None, output: Tensor | None) -> Tensor | None:
            return stream if stream is None or output is None else stream + output

        return Streams(self.noise + other.noise, add(self.lr, other.lr), add(self.text, other.text))
