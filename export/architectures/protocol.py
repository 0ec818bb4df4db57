"""What an architecture's folder offers, which is all that exporter, calibration and benchmark know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import click
    from torch import nn

    from dit4sr.export.architectures.layer_names import LayerNames
    from dit4sr.export.architectures.summary import ModelSummary
    from dit4sr.export.component import ComponentSource
    from dit4sr.export.sampling import Sampling
    from dit4sr.export.weights.checkpoint import Checkpoint
    from dit4sr.runtime.bundles.manifest import ModelCard, View

Config = Mapping[str, Any]
"""A network's sizes and kind, as JSON that only its architecture reads."""

Choices = Mapping[str, Any]
"""Values of the options that an architecture adds to the command line, by name."""


@dataclass(frozen=True)
class Sight:
    """What a network that is prompted by pictures wants of image encoders."""

    layer: int
    """Which hidden states, counted from the last."""
    class_token: bool
    """Whether the class token is one of those."""
    tokens: int
    channels: int
    pooled_channels: int
    views: tuple[View, ...]
    """What the encoders are shown of a picture for each tile."""


class Network(Protocol):
    """A network with its weights, ready to be exported."""

    def to_json(self) -> Config:
        """The network's config, from which its architecture can build it anew."""
        ...

    def card(self, precision: str, sampling: Sampling) -> ModelCard:
        """The model card, which tells the sampler what it needs to know."""
        ...

    def components(self) -> list[ComponentSource]:
        """The components `prepare` and `step`, in the order in which a picture passes through them."""
        ...

    def sight(self) -> Sight | None:
        """What the network wants of image encoders; nothing, if no picture prompts it."""
        ...


class Reference(Protocol):
    """A network as it was published, for a benchmark to hold ours against."""

    def plain_step(self) -> ComponentSource:
        """The published network within a step: no simplification, none of our operators; weights by seed."""
        ...

    def ablated_step(self, optimisation: str) -> ComponentSource:
        """Our step with one of the architecture's optimisations taken back."""
        ...

    def load(self, checkpoint: Path) -> nn.Module:
        """The published network with a checkpoint's weights, in FP32."""
        ...

    def write_checkpoint(self, folder: Path) -> None:
        """Write a checkpoint of the network with random weights, as it would be published."""
        ...


class Architecture(Protocol):
    """One folder of `dit4sr.export.architectures`. Importing it needs no torch; most of its methods do."""

    name: str
    """Name of the architecture in manifests and on the command line."""
    companions: Sequence[str]
    """Folders beside a checkpoint's ``transformer/`` that the network is read from as well."""
    layers: LayerNames
    ablations: Mapping[str, str]
    """Optimisations that a benchmark can take back, and what then runs instead."""

    def options(self) -> Sequence[click.Option]:
        """Options that the architecture adds to the command line of ``dit4sr-export``."""
        ...

    def sampling(self) -> Sampling:
        """How the published network is sampled where a checkpoint does not say."""
        ...

    def detect(self, checkpoint: Checkpoint) -> bool:
        """True if the checkpoint's tensors are those of this architecture."""
        ...

    def load(self, checkpoint: Checkpoint, choices: Choices) -> Network:
        """The checkpoint's network, checked tensor by tensor; weights are read when they are asked for."""
        ...

    def published(self, choices: Choices) -> Config:
        """The config of the published network."""
        ...

    def smallest(self) -> Config:
        """The config of a network that has every kind of layer and is quick to make, to try code with."""
        ...

    def random(self, config: Config, seed: int) -> Network:
        """A network with weights drawn from a seed, for trying and timing."""
        ...

    def summary(self, config: Config, picture: tuple[int, int], text_tokens: int) -> ModelSummary:
        """Parameters of a network, and its multiply-accumulates for a picture of this height and width."""
        ...

    def reference(self, config: Config) -> Reference:
        """The published formulation of a network."""
        ...
