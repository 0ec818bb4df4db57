"""DiT4SR: SD3.5-Medium with an LR stream in every block.

``released`` is the transformer as published, ``deployed`` the same network with nothing left to save; between
them stand the recipes by which weights of the one become weights of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.export.architectures.dit4sr.options import OPTIONS

if TYPE_CHECKING:
    import click

    from dit4sr.export.architectures.dit4sr.config import TransformerConfig
    from dit4sr.export.architectures.dit4sr.network import Dit4sr
    from dit4sr.export.architectures.dit4sr.reference import ReleasedReference
    from dit4sr.export.architectures.protocol import Choices, Config
    from dit4sr.export.architectures.summary import ModelSummary
    from dit4sr.export.sampling import Sampling
    from dit4sr.export.weights.checkpoint import Checkpoint

# torch takes seconds to import, and the registry needs none of it.
# ruff: noqa: PLC0415


class Dit4srArchitecture:
    """What DiT4SR offers to exporter, calibration and benchmark."""

    name = "dit4sr"
    companions: Sequence[str] = ()
    layers = LAYERS
    ablations: Mapping[str, str] = MappingProxyType(
        {
            "folds": "every projection a linear layer of its own, the LR stream's in two",
            "inject": "the injection by standard operators on pictures",
            "attention": "heads split, joined and attended to by standard operators",
        }
    )

    def options(self) -> Sequence[click.Option]:
        """Options for the flavour, the variant, and an LR stream that is yet to be trained."""
        return OPTIONS

    def sampling(self) -> Sampling:
        """Sampling defaults as published for SD3.5-Medium and DiT4SR."""
        from dit4sr.export.sampling import Sampling

        return Sampling(name="DiT4SR", steps=40, guidance=8.0, text_tokens=333)

    def detect(self, checkpoint: Checkpoint) -> bool:
        """True if the checkpoint has blocks with an LR stream, or SD3.5's, to which one could be added."""
        return "transformer_blocks.0.attn.to_q.weight" in checkpoint.tensors

    def load(self, checkpoint: Checkpoint, choices: Choices) -> Dit4sr:
        """Load a DiT4SR: tell its sizes, flavour and variant, and check every tensor."""
        from dit4sr.export.architectures.dit4sr.loading import load_network

        return load_network(checkpoint, choices)

    def published(self, choices: Choices) -> Config:
        """The config at SD3.5-Medium's sizes; its flavour is copied unless the variant rules it out."""
        return self._published(choices).to_json()

    def smallest(self) -> Config:
        """The config of two blocks, one of them with dual attention, on one head."""
        from dit4sr.export.architectures.dit4sr.config import SMALLEST

        return SMALLEST.to_json()

    def random(self, config: Config, seed: int) -> Dit4sr:
        """A DiT4SR with weights drawn from a seed."""
        from dit4sr.export.architectures.dit4sr.network import random_network

        return random_network(self._config(config), seed)

    def summary(self, config: Config, picture: tuple[int, int], text_tokens: int) -> ModelSummary:
        """Parameters and multiply-accumulates of a DiT4SR, counted on meta tensors."""
        from dit4sr.export.architectures.dit4sr.summary import summary_of

        return summary_of(self._config(config), picture, text_tokens, self.sampling().vae_factor)

    def reference(self, config: Config) -> ReleasedReference:
        """The released formulation of a DiT4SR."""
        from dit4sr.export.architectures.dit4sr.reference import ReleasedReference

        return ReleasedReference(self._config(config))

    def _config(self, config: Config) -> TransformerConfig:
        from dit4sr.export.architectures.dit4sr.config import TransformerConfig

        return TransformerConfig.from_json(config, source="the manifest's config of the network")

    def _published(self, choices: Choices) -> TransformerConfig:
        from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant

        variant = Variant(choices.get("variant") or Variant.FULL)
        default = Flavour.OWN if variant is Variant.A else Flavour.COPIED
        return TransformerConfig(flavour=Flavour(choices.get("flavour") or default), variant=variant)


ARCHITECTURE = Dit4srArchitecture()
