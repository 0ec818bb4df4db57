"""Attention in which the LR stream takes part: LR integration and the LR residual."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.streams import Streams
from dit4sr.export.architectures.mmdit.attention import HeadNorm, Heads, attend


class Attention(nn.Module):
    """Attention over noise, LR and (in ``attn``, not in ``attn2``) text tokens.

    The LR stream has no projections from scratch: it goes through the frozen base projection, then through
    a trained "control" one.
    """

    def __init__(self, config: TransformerConfig, *, text: bool, text_output: bool) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q, self.norm_k = (HeadNorm(config.attention_head_dim) for _ in range(2))

        self.to_q_control, self.to_k_control, self.to_v_control = (nn.Linear(width, width) for _ in range(3))
        self.to_out_control = nn.Linear(width, width)

        if text:
            self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(width, width) for _ in range(3))
            self.norm_added_q, self.norm_added_k = (HeadNorm(config.attention_head_dim) for _ in range(2))
        if text_output:
            self.to_add_out = nn.Linear(width, width)

    def forward(self, streams: Streams) -> Streams:
        """Let every stream read the others; text is answered only where a projection for it exists."""
        noise = self.noise_heads(streams.noise)
        lr = None if streams.lr is None else self.lr_heads(streams.lr, noise.key)
        text = None if streams.text is None else self.text_heads(streams.text)

        answers = self.integrate(noise, lr, text)
        return Streams(
            self.to_out[0](answers.noise),
            self.lr_output(answers.lr, streams.lr),
            self.to_add_out(answers.text) if hasattr(self, "to_add_out") else None,
        )

    def noise_heads(self, noise: Tensor) -> Heads:
        """Project the noise stream as SD3.5 does."""
        return Heads(
            self.norm_q(self.split(self.to_q(noise))),
            self.norm_k(self.split(self.to_k(noise))),
            self.split(self.to_v(noise)),
        )

    def lr_heads(self, lr: Tensor, noise_key: Tensor) -> Heads:
        """Project the LR stream: through the base projections, then through its own."""
        projected_key = self.norm_k(self.split(self.to_k_control(self.to_k(lr))))
        return Heads(
            self.norm_q(self.split(self.to_q_control(self.to_q(lr)))),
            # The flavour "copied" was trained with this slip: the projected keys are computed, then
            # forgotten for the noise keys, which so pass the norm twice. The work is kept here because
            # timings against this model should be timings against what was released.
            self.norm_k(noise_key) if self.config.flavour is Flavour.COPIED else projected_key,
            self.split(self.to_v_control(self.to_v(lr))),
        )

    def text_heads(self, text: Tensor) -> Heads:
        """Project the text stream with weights of its own."""
        return Heads(
            self.norm_added_q(self.split(self.add_q_proj(text))),
            self.norm_added_k(self.split(self.add_k_proj(text))),
            self.split(self.add_v_proj(text)),
        )

    def integrate(self, noise: Heads, lr: Heads | None, text: Heads | None) -> Streams:
        """LR integration: one softmax over the tokens of all streams (variant a keeps LR to itself)."""
        if lr is None:
            noise_answer, *text_answer = attend([noise] if text is None else [noise, text])
            return Streams(noise_answer, None, *text_answer)
        if not self.config.lr_joins_attention:
            [lr_answer] = attend([lr])
            return self.integrate(noise, None, text)._replace(lr=lr_answer)
        return Streams(*attend([noise, lr] if text is None else [noise, lr, text]))

    def lr_output(self, answer: Tensor | None, lr: Tensor | None) -> Tensor | None:
        """Project the LR stream's attention output, to which its input is added first (LR residual)."""
        if answer is None or lr is None:
            return None
        projected: Tensor = self.to_out_control(answer + lr if self.config.lr_residual else answer)
        return projected

    def split(self, tokens: Tensor) -> Tensor:
        """Split tokens ``[R, N, D]`` into heads ``[R, heads, N, head_dim]``."""
        heads: Tensor = tokens.unflatten(-1, (-1, self.config.attention_head_dim))
        return heads.transpose(1, 2)
