"""The network as the paper tells of it: what a benchmark holds the deployed one against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.dpir.config import DpirConfig
from dit4sr.export.architectures.dpir.layout import released_layout
from dit4sr.export.architectures.dpir.loading import load_transformer
from dit4sr.export.architectures.dpir.released.adapters import VisualPrompt
from dit4sr.export.architectures.dpir.released.transformer import Transformer
from dit4sr.export.architectures.mmdit.components import floats, released_step
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE, position_table
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights

SEED = 0


class OfTensors(Transformer):
    """The network, given tensors alone."""

    def forward(  # type: ignore[override]
        self, latent: Tensor, condition: Tensor, text: Tensor, timestep: Tensor, *seen: Tensor
    ) -> Tensor:
        """Velocity, given the tensors of a `VisualPrompt` after all others."""
        return super().forward(latent, condition, text, VisualPrompt(*seen), timestep)


@dataclass(frozen=True)
class ReleasedReference:
    """The formulation of a DPIR of some size as the paper tells of it."""

    config: DpirConfig

    def plain_step(self) -> ComponentSource:
        """The network within a step; its weights are a checkpoint's own, by seed."""
        config = self.config
        with torch.device("meta"):
            network = OfTensors(config)
        conditions = (
            floats("condition", "rows", config.in_channels, "height", "width"),
            floats("text", "rows", "text", config.joint_attention_dim),
            floats("timestep", "rows"),
            floats("local_image", "rows", config.image_tokens, config.image_channels),
            floats("global_image", "rows", config.image_tokens, config.image_channels),
            floats("pooled_image", "rows", config.image_pooled_channels),
        )
        return released_step(network, config, conditions, SEED)

    def ablated_step(self, optimisation: str) -> ComponentSource:
        """There are no optimisations that could be taken back one by one."""
        raise KeyError(optimisation)

    def load(self, checkpoint: Path) -> nn.Module:
        """The network with a checkpoint's weights."""
        return load_transformer(checkpoint, self.config)

    def write_checkpoint(self, folder: Path) -> None:
        """Write ``transformer/`` in our layout, with random weights and a true table of positions."""
        from safetensors.torch import save_file  # noqa: PLC0415 - not where only steps are timed

        layout = released_layout(self.config)
        source = RandomWeights(layout, SEED)
        tensors = {key: source.read(key) for key in layout if key != POSITION_TABLE}
        tensors[POSITION_TABLE] = position_table(self.config)
        (folder / "transformer").mkdir(parents=True)
        save_file(tensors, folder / "transformer" / "diffusion_pytorch_model.safetensors")
        stated = json.dumps(self.config.to_json())
        (folder / "transformer" / "config.json").write_text(stated, encoding="utf-8")
