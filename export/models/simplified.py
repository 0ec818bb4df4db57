"""The same network with nothing left to save: the model we export.

It is cut where the work changes rate. `Prepare` runs once per image and prompt, `Denoiser` once per step.
Weights that multiply the same rows are stacked, products of two weights are one weight, and what nobody reads
is not computed. ``dit4sr.export.simplify`` derives every weight here from released ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.models.attention import Heads, attend, normalise_heads
from dit4sr.export.models.config import Flavour, Injection, TransformerConfig
from dit4sr.export.models.embedding import TimeTextEmbedding, unpatchify
from dit4sr.export.models.streams import Grid, Modulation, layer_norm
from dit4sr.export.models.transformer import token_grid
from dit4sr.kernels.depthwise_inject.operator import depthwise_inject
from dit4sr.kernels.joint_attention.operator import (
    joint_attention,
    joint_attention_dual,
    joint_attention_final,
)


class Prepare(nn.Module):
    """Everything that does not depend on the noisy latent."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.patch = patch_convolution(config)
        self.context = nn.Linear(config.joint_attention_dim, config.width)
        self.steering = TimeTextEmbedding(config)
        self.modulation = nn.Linear(config.width, modulation_width(config))

    def forward(
        self, condition: Tensor, text: Tensor, pooled: Tensor, timesteps: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """LR tokens ``[R, N, D]``, text tokens ``[R, M, D]`` and all steps' modulations ``[T, R, S]``.

        The AdaLN matrices, 28 % of all parameters, are multiplied once with all steps instead of once a step.
        """
        steering = F.silu(self.steering(timesteps[:, None], pooled[None]))
        modulation: Tensor = self.modulation(steering.flatten(0, 1))
        return (
            patch_tokens(self.patch, condition) + positions,
            self.context(text),
            modulation.unflatten(0, steering.shape[:2]),
        )


class Denoiser(nn.Module):
    """One evaluation of the velocity."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = patch_convolution(config)
        self.blocks = nn.ModuleList(SimplifiedBlock(config, layer) for layer in range(config.num_layers))
        self.output = nn.Linear(config.width, config.patch_size**2 * config.out_channels)

    def forward(
        self, latent: Tensor, lr_tokens: Tensor, text_tokens: Tensor, modulation: Tensor, positions: Tensor
    ) -> Tensor:
        """Velocity at ``latent`` ``[R, 16, h, w]`` from what `Prepare` made; ``modulation`` is one step's."""
        grid = token_grid(latent, self.config.patch_size)
        chunks = iter(modulation.split(self.config.width, dim=-1))

        noise, text = patch_tokens(self.patch, latent) + positions, text_tokens
        image = torch.stack([noise, lr_tokens], dim=1)
        for block in self.blocks:
            image, text = block(image, text, chunks, grid)
        scale, shift = next(chunks), next(chunks)
        closing = Modulation(shift[:, None], scale[:, None])
        return unpatchify(self.output(closing.enter(layer_norm(image[:, 0]))), grid, self.config.patch_size)


class SimplifiedBlock(nn.Module):
    """A block on two tensors: image ``[R, 2, N, D]`` (noise, then LR) and text ``[R, M, D]``."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.dual, self.final = config.is_dual(layer), config.is_final(layer)
        self.attn = PackedAttention(config, TextRole.READ if self.final else TextRole.FULL)
        if self.dual:
            self.attn2 = PackedAttention(config, TextRole.ABSENT)
        self.ff = InjectedFeedForward(config, noise_only=self.final)
        if not self.final:
            self.text_expand = nn.Linear(config.width, config.hidden_width)
            self.text_contract = nn.Linear(config.hidden_width, config.width)

    def forward(
        self, image: Tensor, text: Tensor, chunks: Iterator[Tensor], grid: Grid
    ) -> tuple[Tensor, Tensor]:
        """Image and text through the block, taking its modulations from ``chunks`` in checkpoint order."""
        joint, mlp, *dual = [take_modulation(chunks, axes=2) for _ in range(3 if self.dual else 2)]
        normed = layer_norm(image)

        if self.final:
            scale, shift = next(chunks), next(chunks)
            text_joint = Modulation(shift[:, None], scale[:, None])
        else:
            text_joint, text_mlp = take_modulation(chunks, axes=1), take_modulation(chunks, axes=1)

        attended, text_attended = self.attn(joint.enter(normed), text_joint.enter(layer_norm(text)))
        image = image + joint.leave(attended)
        for second in dual:
            attended, _ = self.attn2(second.enter(normed), None)
            image = image + second.leave(attended)

        restored = self.ff(mlp.enter(layer_norm(image)), grid)
        image = image[:, : restored.shape[1]] + mlp.leave(restored)
        if self.final:
            return image, text

        text = text + text_joint.leave(text_attended)
        hidden = F.gelu(self.text_expand(text_mlp.enter(layer_norm(text))), approximate="tanh")
        return image, text + text_mlp.leave(self.text_contract(hidden))


class TextRole(Enum):
    """What the text does in an attention."""

    FULL = "asks and is read"
    READ = "is read"
    ABSENT = "is absent"


class PackedAttention(nn.Module):
    """Attention with each stream's projections stacked into one product."""

    def __init__(self, config: TransformerConfig, role: TextRole) -> None:
        super().__init__()
        width, head_dim = config.width, config.attention_head_dim
        self.config, self.role = config, role
        self.noise_qkv = nn.Linear(width, 3 * width)
        # Copied LR keys come from the noise keys, inside the operator: there is nothing to project.
        self.lr_qkv = nn.Linear(width, (2 if config.flavour is Flavour.COPIED else 3) * width)
        self.noise_out, self.lr_out = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_q, self.norm_k = (nn.Parameter(torch.ones(head_dim)) for _ in range(2))
        if role is TextRole.FULL:
            self.text_qkv = nn.Linear(width, 3 * width)
            self.text_out = nn.Linear(width, width)
            self.text_norm_q = nn.Parameter(torch.ones(head_dim))
        if role is TextRole.READ:
            self.text_kv = nn.Linear(width, 2 * width)
        if role is not TextRole.ABSENT:
            self.text_norm_k = nn.Parameter(torch.ones(head_dim))

    def forward(self, image: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Answers for the image streams and, where the text asks, for the text."""
        noise, lr = image.unbind(1)
        noise_qkv, lr_qkv = self.noise_qkv(noise), self.lr_qkv(lr)
        text_answer = None

        if not self.config.lr_joins_attention:
            noise_answer, lr_answer, text_answer = self._apart(noise_qkv, lr_qkv, text)
        elif self.role is TextRole.FULL:
            noise_answer, lr_answer, text_answer = joint_attention(
                noise_qkv,
                lr_qkv,
                self.text_qkv(text),
                self.norm_q,
                self.norm_k,
                self.text_norm_q,
                self.text_norm_k,
            )
        elif self.role is TextRole.READ:
            noise_answer, lr_answer = joint_attention_final(
                noise_qkv, lr_qkv, self.text_kv(text), self.norm_q, self.norm_k, self.text_norm_k
            )
        else:
            noise_answer, lr_answer = joint_attention_dual(noise_qkv, lr_qkv, self.norm_q, self.norm_k)

        if self.config.lr_residual:
            lr_answer = lr_answer + lr
        answers = torch.stack([self.noise_out(noise_answer), self.lr_out(lr_answer)], dim=1)
        return answers, None if text_answer is None else self.text_out(text_answer)

    def _apart(
        self, noise_qkv: Tensor, lr_qkv: Tensor, text: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Variant a: the LR stream in a softmax of its own. An ablation, so without a fused operator."""
        noise, lr = (self._heads(qkv, self.norm_q, self.norm_k) for qkv in (noise_qkv, lr_qkv))
        [lr_answer] = attend([lr])
        if text is None:
            [noise_answer] = attend([noise])
            return noise_answer, lr_answer, None
        if self.role is TextRole.FULL:
            asking = self._heads(self.text_qkv(text), self.text_norm_q, self.text_norm_k)
            noise_answer, text_answer = attend([noise, asking])
            return noise_answer, lr_answer, text_answer
        key, value = (self._split(part) for part in self.text_kv(text).chunk(2, dim=-1))
        silent = Heads(key[:, :, :0], normalise_heads(key, self.text_norm_k), value)
        noise_answer, _ = attend([noise, silent])
        return noise_answer, lr_answer, None

    def _heads(self, qkv: Tensor, norm_q: Tensor, norm_k: Tensor) -> Heads:
        query, key, value = (self._split(part) for part in qkv.chunk(3, dim=-1))
        return Heads(normalise_heads(query, norm_q), normalise_heads(key, norm_k), value)

    def _split(self, tokens: Tensor) -> Tensor:
        heads: Tensor = tokens.unflatten(-1, (-1, self.config.attention_head_dim))
        return heads.transpose(1, 2)


class InjectedFeedForward(nn.Module):
    """The image streams' MLP: both in one product, the LR injection fused between."""

    def __init__(self, config: TransformerConfig, *, noise_only: bool) -> None:
        super().__init__()
        hidden = config.hidden_width
        self.injection, self.noise_only = config.injection, noise_only
        self.expand = nn.Linear(config.width, hidden)
        self.contract = nn.Linear(hidden, config.width)
        match self.injection:
            case Injection.CONVOLUTION:
                # Channels last, as the tokens are: tap row, tap column, channel.
                self.taps = nn.Parameter(torch.zeros(3, 3, hidden))
                self.tap_bias = nn.Parameter(torch.zeros(hidden))
            case Injection.LINEAR:
                self.injected = nn.Linear(hidden, hidden)
            case Injection.CHANNEL:
                self.factor = nn.Parameter(torch.ones(hidden))
            case Injection.NONE:
                pass

    def forward(self, image: Tensor, grid: Grid) -> Tensor:
        """``[R, 2, N, D]`` in; out the same, or only the noise stream where nobody reads the other."""
        hidden = self.inject(self.expand(image), grid)
        tokens: Tensor = self.contract(hidden[:, :1] if self.noise_only else hidden)
        return tokens

    def inject(self, expanded: Tensor, grid: Grid) -> Tensor:
        """Activate both streams and add the LR stream's contribution to the noise stream."""
        if self.injection is Injection.CONVOLUTION:
            maps: Tensor = expanded.unflatten(2, grid)
            injected: Tensor = depthwise_inject(maps, self.taps, self.tap_bias)
            return injected.flatten(2, 3)
        hidden = F.gelu(expanded, approximate="tanh")
        if self.injection is Injection.NONE:
            return hidden
        noise, lr = hidden.unbind(1)
        added = self.injected(lr) if self.injection is Injection.LINEAR else lr * self.factor
        return torch.stack([noise + added, lr], dim=1)


def patch_convolution(config: TransformerConfig) -> nn.Conv2d:
    """The patch embedding; the noise and the LR latent share its weights."""
    patch = config.patch_size
    return nn.Conv2d(config.in_channels, config.width, kernel_size=patch, stride=patch)


def patch_tokens(patch: nn.Conv2d, latent: Tensor) -> Tensor:
    """``[R, 16, h, w]`` to ``[R, N, D]``, row by row."""
    patches: Tensor = patch(latent)
    return patches.flatten(2).transpose(1, 2)


def take_modulation(chunks: Iterator[Tensor], axes: int) -> Modulation:
    """The next shift, scale and gate, broadcast over that many axes between rows and channels."""
    shape = (slice(None), *[None] * axes)
    return Modulation(next(chunks)[shape], next(chunks)[shape], next(chunks)[shape])


def modulation_width(config: TransformerConfig) -> int:
    """S: modulation values for one step and row (499,200 at full size)."""
    chunks = 2  # the closing norm
    for layer in range(config.num_layers):
        chunks += 9 if config.is_dual(layer) else 6
        chunks += 2 if config.is_final(layer) else 6
    return chunks * config.width
