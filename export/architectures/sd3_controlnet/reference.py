"""The released formulation: what a benchmark holds the deployed one against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dit4sr.export.architectures.mmdit.components import floats, released_step
from dit4sr.export.architectures.mmdit.patches import position_table
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import (
    BACKBONE,
    CONTROL,
    is_position_table,
    layout_of,
    meta_system,
    released_layout,
)
from dit4sr.export.architectures.sd3_controlnet.loading import load_system, stated_configs
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights

SEED = 0


@dataclass(frozen=True)
class ReleasedReference:
    """The published formulation of backbone and control net of some size."""

    config: SystemConfig

    def plain_step(self) -> ComponentSource:
        """The released networks within a step; their weights are the checkpoint's own, by seed."""
        config = self.config
        conditions = (
            floats("condition", "rows", config.in_channels, "height", "width"),
            floats("text", "rows", "text", config.joint_attention_dim),
            floats("pooled", "rows", config.pooled_projection_dim),
            floats("timestep", "rows"),
        )
        return released_step(meta_system(config), config, conditions, SEED)

    def ablated_step(self, optimisation: str) -> ComponentSource:
        """There are no optimisations that could be taken back one by one."""
        raise KeyError(optimisation)

    def load(self, checkpoint: Path) -> nn.Module:
        """The released networks with a checkpoint's weights."""
        return load_system(checkpoint, self.config)

    def write_checkpoint(self, folder: Path) -> None:
        """Write both folders in diffusers' layout, with random weights and true tables of positions."""
        from safetensors.torch import save_file  # noqa: PLC0415 - not where only steps are timed

        config = self.config
        source = RandomWeights(released_layout(config), SEED)
        table = position_table(config)
        for part, stated in zip((BACKBONE, CONTROL), stated_configs(config), strict=True):
            tensors = {
                key: table.clone() if is_position_table(key) else source.read(f"{part}.{key}")
                for key in layout_of(part, config)
            }
            (folder / part).mkdir(parents=True)
            save_file(tensors, folder / part / "diffusion_pytorch_model.safetensors")
            (folder / part / "config.json").write_text(json.dumps(stated), encoding="utf-8")
