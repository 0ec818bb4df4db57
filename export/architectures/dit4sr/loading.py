"""From an opened checkpoint to the released model: which architecture it is, and that nothing is amiss."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.layout import (
    lr_key_weights,
    lr_tensors,
    meta_transformer,
    read_tensors,
    unread_tensors,
)
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE
from dit4sr.export.architectures.protocol import Choices
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint
from dit4sr.runtime.errors import BadInputError


def load_transformer(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    flavour: Flavour | None = None,
    variant: Variant | None = None,
    untrained: bool = False,
) -> Transformer:
    """Open published weights as the released model.

    ``untrained`` opens SD3.5-Medium, which has no LR weights, as a DiT4SR that is yet to be trained.
    """
    checkpoint = open_checkpoint(path)
    config = checkpoint_config(checkpoint, flavour=flavour, variant=variant, untrained=untrained)
    stored = [key for key in read_tensors(config) if key in checkpoint.tensors]
    weights = {key: checkpoint.read_as(key, dtype) for key in stored}
    if untrained:
        fresh = {key: fresh_lr_weight(key, config, weights.__getitem__) for key in lr_tensors(config)}
        weights |= {key: weight.to(dtype) for key, weight in fresh.items()}
    model = meta_transformer(config)
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def load_network(checkpoint: Checkpoint, choices: Choices) -> Dit4sr:
    """A checkpoint's network; its weights stay on disk until they are read one by one."""
    untrained = bool(choices.get("untrained"))
    config = checkpoint_config(
        checkpoint,
        flavour=Flavour(choices["flavour"]) if choices.get("flavour") else None,
        variant=Variant(choices["variant"]) if choices.get("variant") else None,
        untrained=untrained,
    )
    if untrained:
        return Dit4sr(config, Untrained(checkpoint, config), "untrained LR stream")
    return Dit4sr(config, checkpoint)


@dataclass(frozen=True)
class Untrained:
    """SD3.5's weights with fresh LR weights where it has none."""

    checkpoint: Checkpoint
    config: TransformerConfig

    def read(self, key: str) -> Tensor:
        """Read a tensor that is there, and make a fresh one where it is not."""
        if key not in lr_tensors(self.config):
            return self.checkpoint.read(key)
        return fresh_lr_weight(key, self.config, self.checkpoint.read)


def checkpoint_config(
    checkpoint: Checkpoint,
    *,
    flavour: Flavour | None = None,
    variant: Variant | None = None,
    untrained: bool = False,
) -> TransformerConfig:
    """Tell the architecture by the shapes, hold it against ``config.json``, and check every tensor."""
    shapes = {key: stored.shape for key, stored in checkpoint.tensors.items()}
    found = architecture_of(shapes, checkpoint.path)
    stated = TransformerConfig.from_json(
        # The default flavour is only a placeholder until the weights have been looked at.
        {**_sizes(found), "flavour": "own", **checkpoint.stated},
        source=f"{checkpoint.path}: config.json",
    )
    for name, size in _sizes(found).items():
        if name in checkpoint.stated and (said := getattr(stated, name)) != size:
            raise BadInputError(
                f"{checkpoint.path}: config.json says {name} = {said}, the weights say {size}",
                expected="a config.json and weights that belong together",
            )
    config = replace(stated, flavour=Flavour.OWN, variant=variant or stated.variant)
    _check_lr_part(config, checkpoint, untrained=untrained)
    _check_transformer(config, checkpoint, untrained=untrained)

    if flavour is None and "flavour" in checkpoint.stated:
        flavour = stated.flavour
    if flavour is None:
        # An untrained model may become either; "own" is what the paper describes.
        flavour = Flavour.OWN if untrained else detect_flavour(checkpoint, config)
    return config.with_flavour(flavour)


def detect_flavour(checkpoint: Checkpoint, config: TransformerConfig) -> Flavour:
    """Tell the LR-key rule by the LR key projections.

    In flavour ``copied`` no gradient ever reached them, so they are as they were initialised: zero.
    """
    keys = lr_key_weights(config)
    trained = [key for key in keys if checkpoint.read(key).any()]
    if trained and len(trained) < len(keys):
        raise BadInputError(
            f"{len(keys) - len(trained)} of {len(keys)} LR key projections in {checkpoint.path} are zero",
            expected="all (flavour copied) or none (flavour own)",
            fix="say which with --flavour",
        )
    return Flavour.OWN if trained else Flavour.COPIED


def fresh_lr_weight(key: str, config: TransformerConfig, base: Callable[[str], Tensor]) -> Tensor:
    """An LR weight as training begins with it: the LR stream enters with zeros, and leaves as noise does."""
    if ".to_out_control." in key:
        return base(key.replace("to_out_control", "to_out.0")).clone()
    return torch.zeros(read_tensors(config)[key])


# --- What the shapes say -------------------------------------------------------------------------


def architecture_of(shapes: Mapping[str, tuple[int, ...]], path: Path) -> TransformerConfig:
    """Read the sizes of a transformer off the shapes of its tensors."""

    def shape(key: str, rank: int) -> tuple[int, ...]:
        if len(shapes.get(key, ())) != rank:
            raise BadInputError(
                f"{path} holds no transformer in diffusers layout ({key} is "
                + (f"{list(shapes[key])}" if key in shapes else f"not among {len(shapes)} tensors")
                + ")",
                expected="DiT4SR's transformer as diffusers saves it",
            )
        return shapes[key]

    width, text_channels = shape("context_embedder.weight", 2)
    _, pooled_channels = shape("time_text_embed.text_embedder.linear_1.weight", 2)
    _, in_channels, patch_size, _ = shape("pos_embed.proj.weight", 4)
    out_channels = shape("proj_out.weight", 2)[0] // max(patch_size, 1) ** 2
    [head_dim] = shape("transformer_blocks.0.attn.norm_q.weight", 1)
    _, places, _ = shape(POSITION_TABLE, 3)

    layers = _layers(r"transformer_blocks\.(\d+)\.", shapes)
    gaps = sorted(set(range(len(layers))) - layers)
    if gaps:
        raise BadInputError(f"{path} has no block {gaps[0]}, but later ones", expected="every block")
    sizes = {
        "num_layers": len(layers),
        "num_attention_heads": width // max(head_dim, 1),
        "attention_head_dim": head_dim,
        "in_channels": in_channels,
        "out_channels": out_channels,
        "patch_size": patch_size,
        "joint_attention_dim": text_channels,
        "pooled_projection_dim": pooled_channels,
        "pos_embed_max_size": math.isqrt(places),
        "dual_attention_layers": sorted(_layers(r"transformer_blocks\.(\d+)\.attn2\.", shapes)),
        "flavour": "own",
    }
    return TransformerConfig.from_json(sizes, source=f"{path}: the shapes of its tensors")


def _layers(pattern: str, keys: Iterable[str]) -> set[int]:
    return {int(match[1]) for key in keys if (match := re.match(pattern, key))}


def _sizes(config: TransformerConfig) -> dict[str, Any]:
    """The sizes that shapes tell: not the training grid, the flavour or the variant."""
    told_elsewhere = {"sample_size", "flavour", "variant"}
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in told_elsewhere}


# --- Checks --------------------------------------------------------------------------------------


def _check_lr_part(config: TransformerConfig, checkpoint: Checkpoint, *, untrained: bool) -> None:
    present = any("control" in key for key in checkpoint.tensors)
    expected = len(lr_tensors(config))
    if not present and not untrained:
        raise BadInputError(
            f"{checkpoint.path} is SD3.5 without LR weights (0 of {expected} 'control' tensors)",
            expected="a DiT4SR checkpoint",
            fix="or open it on purpose as an untrained DiT4SR (--untrained)",
        )
    if present and untrained:
        raise BadInputError(f"{checkpoint.path} has LR weights", fix="open it without --untrained")


def _check_transformer(config: TransformerConfig, checkpoint: Checkpoint, *, untrained: bool) -> None:
    """Check that every tensor the model reads is there, and that nothing else is."""
    wanted, unread = dict(read_tensors(config)), unread_tensors(config)
    if untrained:
        for key in lr_tensors(config):
            del wanted[key]
    if any(key in checkpoint.tensors for key in unread):
        # A released file has them all. One that lacks some was damaged, whether or not they matter.
        wanted |= unread
    check_layout(checkpoint, wanted, f"DiT4SR (variant {config.variant.value})")
