"""One simplified joint block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.deployed.attention import PackedAttention, TextRole


class SimplifiedBlock(nn.Module):
    """A block on image tokens ``[R, N, D]`` and text tokens ``[R, M, D]``; ``final`` leaves text alone."""

    def __init__(self, config: SystemConfig, *, dual: bool, qk_norm: bool, final: bool) -> None:
        super().__init__()
        self.dual, self.final = dual, final
        self.attn = PackedAttention(config, TextRole.READ if final else TextRole.FULL, qk_norm=qk_norm)
        if dual:
            self.attn2 = PackedAttention(config, TextRole.ABSENT, qk_norm=qk_norm)
        self.ff = FeedForward(config)
        if not final:
            self.text_ff = FeedForward(config)

    def forward(self, image: Tensor, text: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        """Pass the tokens through the block; ``modulation`` ``[R, S]`` is laid out as in the checkpoint."""
        chunks = iter(modulation[:, None].split(image.shape[-1], dim=-1))
        joint, mlp, *dual = [
            Modulation(next(chunks), next(chunks), next(chunks)) for _ in range(3 if self.dual else 2)
        ]
        shift, scale = next(chunks), next(chunks)
        normed, normed_text = layer_norm(image), Modulation(shift, scale).enter(layer_norm(text))

        attended, text_attended = self.attn(joint.enter(normed), normed_text)
        image = image + joint.leave(attended)
        for second in dual:
            image = image + second.leave(self.attn2(second.enter(normed), None)[0])
        image = image + mlp.leave(self.ff(mlp.enter(layer_norm(image))))
        if self.final:
            return image, text

        text = text + next(chunks) * text_attended
        text_mlp = Modulation(next(chunks), next(chunks), next(chunks))
        return image, text + text_mlp.leave(self.text_ff(text_mlp.enter(layer_norm(text))))


class FeedForward(nn.Module):
    """An MLP of two linear layers, tanh-GELU between them."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.width, config.hidden_width)
        self.contract = nn.Linear(config.hidden_width, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Widen tokens, activate them, and narrow them again."""
        narrowed: Tensor = self.contract(F.gelu(self.expand(tokens), approximate="tanh"))
        return narrowed


def modulation_chunks(*, dual: bool, final: bool) -> int:
    """How many vectors of the tokens' width steer a block."""
    return (9 if dual else 6) + (2 if final else 6)
