"""From two folders of a checkpoint to one network: what their tensors say, and that nothing is amiss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dit4sr.export.architectures.mmdit.told import (
    hold_against_config,
    shape_of,
    stated_stack,
    told_sizes,
    told_stack,
)
from dit4sr.export.architectures.protocol import Choices
from dit4sr.export.architectures.sd3_controlnet.config import (
    ControlPooled,
    ControlShift,
    ResidualRule,
    SystemConfig,
    checked,
)
from dit4sr.export.architectures.sd3_controlnet.layout import (
    BACKBONE,
    CONTROL,
    layout_of,
    meta_system,
)
from dit4sr.export.architectures.sd3_controlnet.network import Sd3ControlNet
from dit4sr.export.architectures.sd3_controlnet.options import STATED
from dit4sr.export.architectures.sd3_controlnet.released.system import ControlledTransformer
from dit4sr.export.sampling import checkpoint_sampling
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout, open_checkpoint
from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.export.sampling import Sampling

RULES_DIFFER_BEFORE = (0, 32)
"""The version of diffusers that changed which residual a block gets."""


@dataclass(frozen=True)
class TwoFolders:
    """Weights in two folders, by keys that begin with the folder's name."""

    parts: Mapping[str, Checkpoint]

    def read(self, key: str) -> Tensor:
        """Read one tensor by its checkpoint key."""
        part, _, name = key.partition(".")
        return self.parts[part].read(name)


def load_network(checkpoint: Checkpoint, choices: Choices, default: Sampling) -> Sd3ControlNet:
    """A checkpoint's networks; their weights stay on disk until they are read one by one."""
    folders = opened(checkpoint)
    config = system_config(folders, choices)
    sampling = checkpoint_sampling(checkpoint.path, {}, default)
    config = config.with_choices(condition_offset=sampling.shift * sampling.scaling)
    check(folders, config)
    return Sd3ControlNet(config, folders)


def load_system(path: Path, config: SystemConfig) -> ControlledTransformer:
    """The released networks with a checkpoint's weights, in FP32."""
    folders = opened(open_checkpoint(path))
    check(folders, config)
    model = meta_system(config)
    weights = {key: folders.read(key).to(torch.float32) for key in model.state_dict()}
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def opened(checkpoint: Checkpoint) -> TwoFolders:
    """Open the control net beside a transformer, and refuse what is not what its folder says."""
    parts = {BACKBONE: checkpoint, CONTROL: open_checkpoint(checkpoint.path / CONTROL)}
    for part, found in parts.items():
        is_control = any(key.startswith("controlnet_blocks.") for key in found.tensors)
        if is_control != (part == CONTROL):
            holds = "a control net" if is_control else "no control net (no controlnet_blocks)"
            raise BadInputError(
                f"{checkpoint.path / part} holds {holds}",
                expected=f"SD3's network in {BACKBONE}/, its control net in {CONTROL}/",
                fix="the folders may be mixed up",
            )
    if "context_embedder.weight" not in parts[CONTROL].tensors:
        raise BadInputError(
            f"{parts[CONTROL].path} holds single-stream blocks (no context_embedder), SD3.5-Large's kind",
            expected="joint blocks; Large's take tokens that only its own transformer makes",
        )
    return TwoFolders(parts)


def check(folders: TwoFolders, config: SystemConfig) -> None:
    """Check that both folders hold every tensor of their network, and nothing else."""
    for part, network in ((BACKBONE, "SD3"), (CONTROL, "its control net")):
        check_layout(folders.parts[part], layout_of(part, config), network)


# --- What the shapes say -------------------------------------------------------------------------


def system_config(folders: TwoFolders, choices: Choices) -> SystemConfig:
    """Tell both networks by their shapes, hold them against their configs and each other, add the choices."""
    backbone, control = folders.parts[BACKBONE], folders.parts[CONTROL]
    sizes, control_sizes = (told_sizes(each) for each in (backbone, control))
    for name, size in sizes.items():
        if control_sizes[name] != size:
            raise BadInputError(
                f"the control net in {control.path} has {name} {control_sizes[name]}",
                expected=f"{size}, as the transformer beside it",
                fix="take the control net that was trained with this transformer",
            )
    extra = shape_of(control, "pos_embed_input.proj.weight", 4)[1] - sizes["in_channels"]
    if choices.get("extra_channels") not in {None, extra}:
        raise BadInputError(
            f"{control.path} has {extra} extra channels", expected=f"{choices['extra_channels']}, as was said"
        )
    told: dict[str, Any] = sizes | {"extra_conditioning_channels": extra}
    told |= {"backbone": told_stack(backbone), "control": told_stack(control)}
    side = backbone.stated.get("sample_size", 128)
    config = checked(lambda: SystemConfig(**told, sample_size=side), str(backbone.path))
    for checkpoint, stated in zip((backbone, control), stated_configs(config), strict=True):
        told_by_tensors = stated.keys() - {"_class_name", "force_zeros_for_pooled_projection"}
        hold_against_config(checkpoint, {name: stated[name] for name in told_by_tensors})
    return _with_choices(config, control, choices)


def stated_configs(config: SystemConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """What diffusers writes into the ``config.json`` of the transformer and of the control net."""
    shared = config.sizes | {
        "sample_size": config.sample_size,
        "out_channels": config.in_channels,
        "caption_projection_dim": config.width,
    }

    return (
        {"_class_name": "SD3Transformer2DModel"} | shared | stated_stack(config.backbone),
        {"_class_name": "SD3ControlNetModel"}
        | shared
        | stated_stack(config.control)
        | {
            "extra_conditioning_channels": config.extra_conditioning_channels,
            "force_zeros_for_pooled_projection": config.control_pooled is ControlPooled.ZERO,
        },
    )


def _with_choices(config: SystemConfig, control: Checkpoint, choices: Choices) -> SystemConfig:
    """Add what no tensor tells: as was said, or as diffusers' pipeline reads the control net's config."""
    zeros = control.stated.get("force_zeros_for_pooled_projection", True)
    found: dict[str, Any] = {
        "control_pooled": ControlPooled.ZERO if zeros else ControlPooled.TEXT,
        "control_shift": ControlShift.ZERO if zeros else ControlShift.VAE,
    }
    kinds = {"control_pooled": ControlPooled, "control_shift": ControlShift, "residual_rule": ResidualRule}
    for name in STATED:
        if (said := choices.get(name)) is not None:
            found[name] = kinds[name](said) if name in kinds else said
    if "residual_rule" not in found:
        _refuse_doubtful_rule(config, control)
    return config.with_choices(**found)


def _refuse_doubtful_rule(config: SystemConfig, control: Checkpoint) -> None:
    """Refuse to guess the rule for a file from before it changed, where the two rules differ."""
    version = str(control.stated.get("_diffusers_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) >= RULES_DIFFER_BEFORE:
        return
    try:
        differs = replace(config, residual_rule=ResidualRule.INTEGER).residual_of != config.residual_of
    except ValueError:  # the old rule does not fit, so it was not the one
        return
    if differs:
        raise BadInputError(
            f"{control.path} was written by diffusers {version}, by whose rule blocks get other residuals of "
            f"{config.control.num_layers} than since 0.32",
            fix="say --residual-rule integer, or float if it was trained with a later version",
        )
