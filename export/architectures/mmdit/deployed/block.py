"""One simplified joint block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.deployed.attention import PackedAttention, TextRole
from dit4sr.export.architectures.mmdit.modulation import Modulation, layer_norm
from dit4sr.export.architectures.mmdit.sizes import TokenSizes
from dit4sr.export.architectures.mmdit.stack import Stack


class SimplifiedBlock(nn.Module):
    """A block on image tokens ``[R, N, D]`` and text tokens ``[R, M, D]``; ``final`` leaves text alone."""

    def __init__(self, sizes: TokenSizes, *, dual: bool, qk_norm: bool, final: bool) -> None:
        super().__init__()
        self.dual, self.final = dual, final
        self.attn = PackedAttention(sizes, TextRole.READ if final else TextRole.FULL, qk_norm=qk_norm)
        if dual:
            self.attn2 = PackedAttention(sizes, TextRole.ABSENT, qk_norm=qk_norm)
        self.ff = FeedForward(sizes)
        if not final:
            self.text_ff = FeedForward(sizes)

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

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        self.expand = nn.Linear(sizes.width, sizes.hidden_width)
        self.contract = nn.Linear(sizes.hidden_width, sizes.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Widen tokens, activate them, and narrow them again."""
        narrowed: Tensor = self.contract(F.gelu(self.expand(tokens), approximate="tanh"))
        return narrowed


def simplified_blocks(sizes: TokenSizes, stack: Stack, count: int) -> nn.ModuleList:
    """The first blocks of a stack, the last of them final."""
    return nn.ModuleList(
        SimplifiedBlock(sizes, dual=stack.is_dual(layer), qk_norm=stack.qk_norm, final=layer == count - 1)
        for layer in range(count)
    )
