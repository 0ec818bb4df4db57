"""Attention over the image tokens and, in joint attention, the text tokens beside them."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.attention import HeadNorm, Heads, attend
from dit4sr.export.architectures.mmdit.sizes import TokenSizes


class Attention(nn.Module):
    """Attention with a linear layer for each of its projections; heads are normalised in SD3.5 only."""

    def __init__(self, sizes: TokenSizes, *, qk_norm: bool, text: bool, text_output: bool) -> None:
        super().__init__()
        width, head_dim = sizes.width, sizes.attention_head_dim
        self.head_dim = head_dim
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        if qk_norm:
            self.norm_q, self.norm_k = (HeadNorm(head_dim) for _ in range(2))
        if text:
            self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(width, width) for _ in range(3))
            if qk_norm:
                self.norm_added_q, self.norm_added_k = (HeadNorm(head_dim) for _ in range(2))
        if text_output:
            self.to_add_out = nn.Linear(width, width)

    def forward(self, image: Tensor, text: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Let the tokens read one another; text is answered only where a projection for it exists."""
        heads = [
            self._heads(image, (self.to_q, self.to_k, self.to_v), ("norm_q", "norm_k")),
        ]
        if text is not None:
            projections = (self.add_q_proj, self.add_k_proj, self.add_v_proj)
            heads.append(self._heads(text, projections, ("norm_added_q", "norm_added_k")))
        answer, *text_answer = attend(heads)
        projected: Tensor = self.to_out[0](answer)
        return projected, self.to_add_out(text_answer[0]) if hasattr(self, "to_add_out") else None

    def _heads(self, tokens: Tensor, projections: tuple[nn.Module, ...], norms: tuple[str, str]) -> Heads:
        query, key, value = (self._split(projection(tokens)) for projection in projections)
        if hasattr(self, "norm_q"):
            query, key = (getattr(self, norm)(each) for norm, each in zip(norms, (query, key), strict=True))
        return Heads(query, key, value)

    def _split(self, tokens: Tensor) -> Tensor:
        """Split tokens ``[R, N, D]`` into heads ``[R, heads, N, head_dim]``."""
        heads: Tensor = tokens.unflatten(-1, (-1, self.head_dim))
        return heads.transpose(1, 2)
