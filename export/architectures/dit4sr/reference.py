"""The released formulation: what a benchmark holds the deployed one against."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from dit4sr.export.architectures.dit4sr.ablations import ABLATED
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import meta_transformer, released_layout
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.mmdit.components import floats, released_step
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE, position_table
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights

SEED = 0


@dataclass(frozen=True)
class ReleasedReference:
    """The published formulation of a transformer of some size."""

    config: TransformerConfig

    def plain_step(self) -> ComponentSource:
        """The released transformer within a step; its weights are the checkpoint's own, by seed."""
        config = self.config
        conditions = (
            floats("condition", "rows", config.in_channels, "height", "width"),
            floats("text", "rows", "text", config.joint_attention_dim),
            floats("pooled", "rows", config.pooled_projection_dim),
            floats("timestep", "rows"),
        )
        return released_step(meta_transformer(config), config, conditions, SEED)

    def ablated_step(self, optimisation: str) -> ComponentSource:
        """The deployed step with one optimisation taken back."""
        _, step = Dit4sr(self.config, RandomWeights({}, SEED)).components()
        with torch.device("meta"):
            network = ABLATED[optimisation](self.config)
        plain = released_step(network, self.config, step.inputs[4:], SEED)
        return replace(plain, rounded_modules=step.rounded_modules)

    def load(self, checkpoint: Path) -> nn.Module:
        """The released transformer with a checkpoint's weights."""
        from dit4sr.export.architectures.dit4sr.loading import load_transformer  # noqa: PLC0415

        config = self.config
        return load_transformer(
            checkpoint, dtype=torch.float32, flavour=config.flavour, variant=config.variant
        )

    def write_checkpoint(self, folder: Path) -> None:
        """Write ``transformer/`` in diffusers' layout, with random weights and a true table of positions."""
        from safetensors.torch import save_file  # noqa: PLC0415 - not where only steps are timed

        config = self.config
        layout = released_layout(config)
        source = RandomWeights(layout, SEED)
        tensors = {key: source.read(key) for key in layout if key != POSITION_TABLE}
        tensors[POSITION_TABLE] = position_table(config)
        transformer = folder / "transformer"
        transformer.mkdir(parents=True)
        save_file(tensors, transformer / "diffusion_pytorch_model.safetensors")
        (transformer / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
