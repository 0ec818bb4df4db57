"""The released formulation: what a benchmark holds the deployed one against."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

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
from dit4sr.export.architectures.sd3_controlnet.network import random_network
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.sampling.positions import sine_cosine_positions

SEED = 0


@dataclass(frozen=True)
class ReleasedReference:
    """The published formulation of backbone and control net of some size."""

    config: SystemConfig

    def plain_step(self) -> ComponentSource:
        """The released networks within a step; their weights are the checkpoint's own, by seed."""
        config = self.config
        _, step = random_network(config, SEED).components()
        conditions = (
            TensorSpec("condition", "float32", ("rows", config.in_channels, "height", "width")),
            TensorSpec("text", "float32", ("rows", "text", config.joint_attention_dim)),
            TensorSpec("pooled", "float32", ("rows", config.pooled_projection_dim)),
            TensorSpec("timestep", "float32", ("rows",)),
        )
        layout = released_layout(config)
        return replace(
            step,
            module=Step(meta_system(config)).eval().requires_grad_(False),
            inputs=(*step.inputs[:4], *conditions),
            recipes=step_recipes({name: name for name in layout}),
            weights=RandomWeights(layout, SEED),
        )

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
        side = config.pos_embed_max_size
        table = sine_cosine_positions(
            (side, side), width=config.width, table_size=side, base_size=config.base_grid
        )
        for part, stated in zip((BACKBONE, CONTROL), stated_configs(config), strict=True):
            tensors = {
                key: torch.from_numpy(table)[None].clone()
                if is_position_table(key)
                else source.read(f"{part}.{key}")
                for key in layout_of(part, config)
            }
            (folder / part).mkdir(parents=True)
            save_file(tensors, folder / part / "diffusion_pytorch_model.safetensors")
            (folder / part / "config.json").write_text(json.dumps(stated), encoding="utf-8")
