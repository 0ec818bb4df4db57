"""DPIR, a dual-prompted restorer on SD3, as we read its paper: no code, weights or keys are public.

``released`` is the network as the paper tells of it, ``deployed`` the same with nothing left to save; between
them stand the recipes by which weights of the one become weights of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from dit4sr.export.architectures.dpir.layers import LAYERS
from dit4sr.export.architectures.dpir.options import OPTIONS, STATED

if TYPE_CHECKING:
    import click

    from dit4sr.export.architectures.dpir.config import DpirConfig
    from dit4sr.export.architectures.dpir.network import Dpir
    from dit4sr.export.architectures.dpir.reference import ReleasedReference
    from dit4sr.export.architectures.protocol import Choices, Config
    from dit4sr.export.architectures.summary import ModelSummary
    from dit4sr.export.sampling import Sampling
    from dit4sr.export.weights.checkpoint import Checkpoint

# torch takes seconds to import, and the registry needs none of it.
# ruff: noqa: PLC0415


class DpirArchitecture:
    """What DPIR offers to exporter, calibration and benchmark."""

    name = "dpir"
    companions: Sequence[str] = ()
    layers = LAYERS
    ablations: Mapping[str, str] = MappingProxyType({})

    def options(self) -> Sequence[click.Option]:
        """Options for what no tensor tells."""
        return OPTIONS

    def sampling(self) -> Sampling:
        """Sampling defaults of SD3's pipeline: the paper states none."""
        from dit4sr.export.sampling import Sampling

        return Sampling(name="DPIR (our reading)", steps=28, guidance=7.0, text_tokens=256)

    def detect(self, checkpoint: Checkpoint) -> bool:
        """True if a transformer has an LQ branch."""
        return any(key.startswith("lq_branch.") for key in checkpoint.tensors)

    def load(self, checkpoint: Checkpoint, choices: Choices) -> Dpir:
        """Load the network: tell its sizes, and check every tensor."""
        from dit4sr.export.architectures.dpir.loading import load_network

        return load_network(checkpoint, choices)

    def published(self, choices: Choices) -> Config:
        """The config of our reading: none is published."""
        from dit4sr.export.architectures.dpir.config import DpirConfig

        stated = {name: choices[name] for name in STATED if choices.get(name) is not None}
        return DpirConfig.from_json(DpirConfig().to_json() | stated, source="the options").to_json()

    def smallest(self) -> Config:
        """The config of three blocks on two narrow heads."""
        from dit4sr.export.architectures.dpir.config import SMALLEST

        return SMALLEST.to_json()

    def random(self, config: Config, seed: int) -> Dpir:
        """The network with weights drawn from a seed."""
        from dit4sr.export.architectures.dpir.network import random_network

        return random_network(self._config(config), seed)

    def summary(self, config: Config, picture: tuple[int, int], text_tokens: int) -> ModelSummary:
        """Parameters and multiply-accumulates, counted on meta tensors."""
        from dit4sr.export.architectures.dpir.summary import summary_of

        return summary_of(self._config(config), picture, text_tokens, self.sampling().vae_factor)

    def reference(self, config: Config) -> ReleasedReference:
        """The network as the paper tells of it."""
        from dit4sr.export.architectures.dpir.reference import ReleasedReference

        return ReleasedReference(self._config(config))

    def _config(self, config: Config) -> DpirConfig:
        from dit4sr.export.architectures.dpir.config import DpirConfig

        return DpirConfig.from_json(config, source="the manifest's config of the network")


ARCHITECTURE = DpirArchitecture()
