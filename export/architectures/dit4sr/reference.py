"""The released formulation: what a benchmark holds the deployed one against."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from dit4sr.export.architectures.dit4sr.ablations import ABLATED
from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import POSITION_TABLE, released_layout
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.dit4sr.released.transformer import Transformer
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.manifest import TensorSpec
from dit4sr.runtime.sampling.positions import sine_cosine_positions

SEED = 0


@dataclass(frozen=True)
class ReleasedReference:
    """The published formulation of a transformer of some size."""

    config: TransformerConfig

    def plain_step(self) -> ComponentSource:
        """The released transformer within a step; its weights are the checkpoint's own, by seed."""
        config, step = self.config, self._deployed_step()
        with torch.device("meta"):
            network = Transformer(config)
        conditions = (
            TensorSpec("condition", "float32", ("rows", config.in_channels, "height", "width")),
            TensorSpec("text", "float32", ("rows", "text", config.joint_attention_dim)),
            TensorSpec("pooled", "float32", ("rows", config.pooled_projection_dim)),
            TensorSpec("timestep", "float32", ("rows",)),
        )
        return _around(network, step, (*step.inputs[:4], *conditions))

    def ablated_step(self, optimisation: str) -> ComponentSource:
        """The deployed step with one optimisation taken back."""
        step = self._deployed_step()
        with torch.device("meta"):
            network = ABLATED[optimisation](self.config)
        return _around(network, step, step.inputs)

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
        positions = sine_cosine_positions(
            (config.pos_embed_max_size, config.pos_embed_max_size),
            width=config.width,
            table_size=config.pos_embed_max_size,
            base_size=config.base_grid,
        )
        tensors[POSITION_TABLE] = torch.from_numpy(positions)[None].contiguous()
        transformer = folder / "transformer"
        transformer.mkdir(parents=True)
        save_file(tensors, transformer / "diffusion_pytorch_model.safetensors")
        (transformer / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")

    def _deployed_step(self) -> ComponentSource:
        _, step = Dit4sr(self.config, RandomWeights({}, SEED)).components()
        return step


def _around(network: nn.Module, step: ComponentSource, inputs: tuple[TensorSpec, ...]) -> ComponentSource:
    """A step around a given network, with a random weight for each of the network's own."""
    layout = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return replace(
        step,
        module=Step(network).eval().requires_grad_(False),
        inputs=inputs,
        recipes=step_recipes({name: name for name in layout}),
        weights=RandomWeights(layout, SEED),
    )
