"""From a checkpoint in our layout to a network: what its tensors say, and that nothing is amiss."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.layout import meta_transformer, released_layout
from dit4sr.export.architectures.dpir.network import Dpir
from dit4sr.export.architectures.dpir.options import STATED
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.told import hold_against_config, shape_of, told_sizes, told_stack
from dit4sr.export.architectures.protocol import Choices
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint
from dit4sr.runtime.errors import BadInputError


def load_network(checkpoint: Checkpoint, choices: Choices) -> Dpir:
    """A checkpoint's network; its weights stay on disk until they are read one by one."""
    config = checkpoint_config(checkpoint, choices)
    check_layout(checkpoint, released_layout(config), "DPIR as we read it")
    return Dpir(config, checkpoint)


def load_transformer(path: Path, config: DpirConfig) -> Transformer:
    """The network with a checkpoint's weights, in FP32."""
    checkpoint = open_checkpoint(path)
    check_layout(checkpoint, released_layout(config), "DPIR as we read it")
    model = meta_transformer(config)
    weights = {key: checkpoint.read_as(key, torch.float32) for key in model.state_dict()}
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def checkpoint_config(checkpoint: Checkpoint, choices: Choices) -> DpirConfig:
    """Tell a network by its shapes, hold its ``config.json`` against them, and add what was said."""
    branch = [key for key in checkpoint.tensors if re.fullmatch(r"lq_branch\.convolutions\.\d+\.weight", key)]
    if not branch:
        raise BadInputError(
            f"{checkpoint.path} holds no DPIR (no lq_branch among {len(checkpoint.tensors)} tensors)",
            expected="a checkpoint under our keys: no other is public",
        )
    adapter_width, image_channels = shape_of(checkpoint, "local_adapter.linear_1.weight", 2)
    pooled_width, pooled_channels = shape_of(checkpoint, "pooled_adapter.linear_1.weight", 2)
    told: dict[str, Any] = told_sizes(checkpoint) | {
        "backbone": told_stack(checkpoint).to_json(),
        "image_channels": image_channels,
        "image_adapter_width": adapter_width,
        "image_pooled_channels": pooled_channels,
        "pooled_adapter_width": pooled_width,
        "own_global_adapter": "global_adapter.linear_1.weight" in checkpoint.tensors,
        "lq_convolutions": len(branch),
    }
    if len(branch) > 1:
        width, _, kernel, _ = shape_of(checkpoint, "lq_branch.convolutions.0.weight", 4)
        told |= {"lq_width": width, "lq_kernel": kernel}
    hold_against_config(checkpoint, told)
    said = {name: choices[name] for name in STATED if choices.get(name) is not None}
    values = DpirConfig().to_json() | dict(checkpoint.stated) | told | said
    return DpirConfig.from_json(values, source=str(checkpoint.path))
