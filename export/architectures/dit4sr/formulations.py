"""Other formulations of the step, as graphs: with one optimisation taken back, or with none of ours at all.

They differ from the bundle's step in the one thing they are named for, pass through the same exporter and run
in the same runtime, so that a difference in time is the price of that thing. Weights are random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit4sr.export.architecture import ComponentSource
from dit4sr.export.architectures.dit4sr.config import Flavour, Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.deployed.attention import PackedAttention, TextRole
from dit4sr.export.architectures.dit4sr.deployed.block import SimplifiedBlock
from dit4sr.export.architectures.dit4sr.deployed.denoiser import Denoiser
from dit4sr.export.architectures.dit4sr.deployed.feed_forward import InjectedFeedForward
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.dit4sr.released.attention import Heads, attend, normalise_heads
from dit4sr.export.architectures.dit4sr.released.streams import Grid
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.step import Step
from dit4sr.export.exporter import ExportConfig, traced_at_precision
from dit4sr.export.graph.external_data import bind_weights
from dit4sr.export.graph.tracing import attach_operators
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.manifest import TensorSpec

if TYPE_CHECKING:
    from dit4sr.export.weights.folds import Recipe


class SpreadAttention(PackedAttention):
    """Attention as released: heads split, joined and attended to by standard operators, not by ours."""

    def forward(self, image: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What `PackedAttention` answers."""
        noise, lr = image.unbind(1)
        noise_heads = self._heads(self.noise_qkv(noise), self.norm_q, self.norm_k)
        streams = [noise_heads, self._lr_heads(self.lr_qkv(lr), noise_heads)]
        if self.role is TextRole.FULL:
            streams.append(self._heads(self.text_qkv(text), self.text_norm_q, self.text_norm_k))
        elif self.role is TextRole.READ:
            key, value = (self._split(part) for part in self.text_kv(text).chunk(2, dim=-1))
            streams.append(Heads(key[:, :, :0], normalise_heads(key, self.text_norm_k), value))
        noise_answer, lr_answer, *text_answer = attend(streams)
        if self.config.lr_residual:
            lr_answer = lr_answer + lr
        answers = torch.stack([self.noise_out(noise_answer), self.lr_out(lr_answer)], dim=1)
        return answers, self.text_out(text_answer[0]) if self.role is TextRole.FULL else None

    def _lr_heads(self, qkv: Tensor, noise: Heads) -> Heads:
        if self.config.flavour is Flavour.OWN:
            return self._heads(qkv, self.norm_q, self.norm_k)
        query, value = (self._split(part) for part in qkv.chunk(2, dim=-1))
        return Heads(normalise_heads(query, self.norm_q), normalise_heads(noise.key, self.norm_k), value)


class SpreadFeedForward(InjectedFeedForward):
    """The injection as released: tokens become pictures for a convolution, and tokens again."""

    def inject(self, expanded: Tensor, grid: Grid) -> Tensor:
        """What `InjectedFeedForward` answers."""
        if self.injection is not Injection.CONVOLUTION:
            return super().inject(expanded, grid)
        noise, lr = F.gelu(expanded, approximate="tanh").unbind(1)
        picture = lr.unflatten(1, grid).permute(0, 3, 1, 2)
        filters = self.taps.permute(2, 0, 1)[:, None]
        filtered = F.conv2d(picture, filters, self.tap_bias, padding=1, groups=len(filters))
        return torch.stack([noise + filtered.flatten(2).transpose(1, 2), lr], dim=1)


class SeparateProjections(nn.Module):
    """Projections of one input that were not stacked: a product for each, side by side."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(width, width) for _ in range(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """Every projection's answer."""
        return torch.cat([projection(tokens) for projection in self.each], dim=-1)


class TwofoldProjections(SeparateProjections):
    """The LR stream's projections that were not composed: through the base's, then through its own."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__(width, count)
        self.bases = nn.ModuleList(nn.Linear(width, width) for _ in range(count))

    def forward(self, tokens: Tensor) -> Tensor:
        """Every projection's answer."""
        pairs = zip(self.each, self.bases, strict=True)
        return torch.cat([own(base(tokens)) for own, base in pairs], dim=-1)


def without_attention(config: TransformerConfig) -> Denoiser:
    """The denoiser without the packed attention operator."""

    def spread(block: SimplifiedBlock) -> None:
        block.attn = SpreadAttention(config, block.attn.role)
        if block.dual:
            block.attn2 = SpreadAttention(config, TextRole.ABSENT)

    return _changed(config, spread)


def without_injection(config: TransformerConfig) -> Denoiser:
    """The denoiser without the fused injection operator."""

    def spread(block: SimplifiedBlock) -> None:
        block.ff = SpreadFeedForward(config, noise_only=block.final)

    return _changed(config, spread)


def without_folds(config: TransformerConfig) -> Denoiser:
    """The denoiser with every projection apart: nothing stacked, nothing composed."""
    width = config.width
    lr_parts = 2 if config.flavour is Flavour.COPIED else 3

    def unfold(block: SimplifiedBlock) -> None:
        for attention in _attentions(block):
            attention.add_module("noise_qkv", SeparateProjections(width, 3))
            attention.add_module("lr_qkv", TwofoldProjections(width, lr_parts))
            if attention.role is TextRole.FULL:
                attention.add_module("text_qkv", SeparateProjections(width, 3))

    return _changed(config, unfold)


FORMULATIONS: Mapping[str, Callable[[TransformerConfig], Denoiser]] = {
    "folds": without_folds,
    "inject": without_injection,
    "attention": without_attention,
}


def write_ablated_step(
    config: TransformerConfig, optimisation: str, precision: str, folder: Path
) -> tuple[Path, Sequence[TensorSpec], Sequence[str]]:
    """The step without one optimisation, as a graph; what it reads, and what it makes."""
    base = _step_part(config)
    with torch.device("meta"):
        network = FORMULATIONS[optimisation](config)
    return _written(_part(base, network, base.inputs), config, precision, folder)


def write_plain_step(
    config: TransformerConfig, precision: str, folder: Path
) -> tuple[Path, Sequence[TensorSpec], Sequence[str]]:
    """The released network as torch exports it: no simplification, none of our operators."""
    base = _step_part(config)
    with torch.device("meta"):
        network = Transformer(config)
    latent = ("rows", config.in_channels, "height", "width")
    conditions = (
        TensorSpec("condition", "float32", latent),
        TensorSpec("text", "float32", ("rows", "text", config.joint_attention_dim)),
        TensorSpec("pooled", "float32", ("rows", config.pooled_projection_dim)),
        TensorSpec("timestep", "float32", ("rows",)),
    )
    return _written(_part(base, network, (*base.inputs[:4], *conditions)), config, precision, folder)


def _step_part(config: TransformerConfig) -> ComponentSource:
    return next(part for part in Dit4sr(config, RandomWeights({}, 0)).parts() if part.name == "step")


def _part(base: ComponentSource, network: nn.Module, inputs: tuple[TensorSpec, ...]) -> ComponentSource:
    """A step around another network, with a random weight for each of its own."""
    layout = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    recipes: dict[str, Recipe] = {name: name for name in layout}
    module = Step(network).eval().requires_grad_(False)
    return replace(base, module=module, inputs=inputs, recipes=recipes, source=RandomWeights(layout, 0))


def _written(
    part: ComponentSource, config: TransformerConfig, precision: str, folder: Path
) -> tuple[Path, Sequence[TensorSpec], Sequence[str]]:
    model, _ = traced_at_precision(part, Dit4sr(config, part.source), ExportConfig(folder, precision))
    bind_weights(model, part, folder)
    attach_operators(model)
    file = folder / f"{part.name}.onnx"
    ir.save(model, file)
    return file, part.inputs, part.outputs


def _changed(config: TransformerConfig, change: Callable[[SimplifiedBlock], None]) -> Denoiser:
    denoiser = Denoiser(config)
    for block in denoiser.blocks:
        assert isinstance(block, SimplifiedBlock)
        change(block)
    return denoiser


def _attentions(block: SimplifiedBlock) -> list[PackedAttention]:
    return [module for module in block.modules() if isinstance(module, PackedAttention)]
