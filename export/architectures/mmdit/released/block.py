"""One joint block: attention over image and text tokens, and an MLP for each."""

from __future__ import annotations

from torch import Tensor, nn

from dit4sr.export.architectures.mmdit.feed_forward import FeedForward
from dit4sr.export.architectures.mmdit.modulation import AdaLayerNorm, AdaLayerNormContinuous, layer_norm
from dit4sr.export.architectures.mmdit.released.attention import Attention
from dit4sr.export.architectures.mmdit.sizes import TokenSizes


class JointBlock(nn.Module):
    """A block; a dual one has a second attention over the image tokens, and ``final`` returns no text."""

    def __init__(self, sizes: TokenSizes, *, dual: bool, qk_norm: bool, final: bool = False) -> None:
        super().__init__()
        width = sizes.width
        self.norm1 = AdaLayerNorm(width, layers=3 if dual else 2)
        self.norm1_context = AdaLayerNormContinuous(width) if final else AdaLayerNorm(width, layers=2)
        self.attn = Attention(sizes, qk_norm=qk_norm, text=True, text_output=not final)
        if dual:
            self.attn2 = Attention(sizes, qk_norm=qk_norm, text=False, text_output=False)
        self.ff = FeedForward(sizes)
        self.ff_context = None if final else FeedForward(sizes)

    def forward(self, image: Tensor, text: Tensor, steering: Tensor) -> tuple[Tensor, Tensor]:
        """Pass image and text tokens through the block; the final one leaves the text as it was."""
        joint, mlp, *dual = self.norm1(steering)
        text_joint, *text_mlp = self.norm1_context(steering)

        normed = layer_norm(image)
        attended, text_attended = self.attn(joint.enter(normed), text_joint.enter(layer_norm(text)))
        image = image + joint.leave(attended)
        # The second attention reads the tokens as they were before the first.
        for second in dual:
            image = image + second.leave(self.attn2(second.enter(normed))[0])
        image = image + mlp.leave(self.ff(mlp.enter(layer_norm(image))))

        if self.ff_context is None:
            return image, text
        [modulation] = text_mlp
        text = text + text_joint.leave(text_attended)
        return image, text + modulation.leave(self.ff_context(modulation.enter(layer_norm(text))))
