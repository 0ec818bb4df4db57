"""SD3-ControlNet, the baseline of the DiT4SR paper: SD3 with a control net beside it.

``released`` are both networks as published, ``deployed`` the same with nothing left to save; between them
stand the recipes by which weights of the one become weights of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from dit4sr.export.architectures.sd3_controlnet.layers import LAYERS
from dit4sr.export.architectures.sd3_controlnet.options import OPTIONS, STATED

if TYPE_CHECKING:
    import click

    from dit4sr.export.architectures.protocol import Choices, Config
    from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
    from dit4sr.export.architectures.sd3_controlnet.network import Sd3ControlNet
    from dit4sr.export.architectures.sd3_controlnet.reference import ReleasedReference
    from dit4sr.export.architectures.summary import ModelSummary
    from dit4sr.export.sampling import Sampling
    from dit4sr.export.weights.checkpoint import Checkpoint

# torch takes seconds to import, and the registry needs none of it.
# ruff: noqa: PLC0415


class Sd3ControlNetArchitecture:
    """What SD3-ControlNet offers to exporter, calibration and benchmark."""

    name = "sd3-controlnet"
    companions: Sequence[str] = ("controlnet",)
    layers = LAYERS
    ablations: Mapping[str, str] = MappingProxyType({})

    def options(self) -> Sequence[click.Option]:
        """Options for what no tensor tells."""
        return OPTIONS

    def sampling(self) -> Sampling:
        """Sampling defaults as for DiT4SR, beside which the paper measured it."""
        from dit4sr.export.sampling import Sampling

        return Sampling(name="SD3-ControlNet", steps=40, guidance=8.0, text_tokens=333)

    def detect(self, checkpoint: Checkpoint) -> bool:
        """True if a folder has a control net beside its transformer."""
        return (checkpoint.path / "controlnet").is_dir()

    def load(self, checkpoint: Checkpoint, choices: Choices) -> Sd3ControlNet:
        """Load both networks: tell their sizes, and check every tensor."""
        from dit4sr.export.architectures.sd3_controlnet.loading import load_network

        return load_network(checkpoint, choices, self.sampling())

    def published(self, choices: Choices) -> Config:
        """The config of the paper's baseline: SD3.5-Medium, and a control net of twelve dual blocks."""
        from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig

        stated = {name: choices[name] for name in STATED if choices.get(name) is not None}
        extra = choices.get("extra_channels") or 0
        return SystemConfig.from_json(
            SystemConfig(extra_conditioning_channels=extra).to_json() | stated, source="the options"
        ).to_json()

    def smallest(self) -> Config:
        """The config of four blocks and two beside them, on two narrow heads."""
        from dit4sr.export.architectures.sd3_controlnet.config import SMALLEST

        return SMALLEST.to_json()

    def random(self, config: Config, seed: int) -> Sd3ControlNet:
        """Both networks with weights drawn from a seed."""
        from dit4sr.export.architectures.sd3_controlnet.network import random_network

        return random_network(self._config(config), seed)

    def summary(self, config: Config, picture: tuple[int, int], text_tokens: int) -> ModelSummary:
        """Parameters and multiply-accumulates of both networks, counted on meta tensors."""
        from dit4sr.export.architectures.sd3_controlnet.summary import summary_of

        return summary_of(self._config(config), picture, text_tokens, self.sampling().vae_factor)

    def reference(self, config: Config) -> ReleasedReference:
        """The released formulation of both networks."""
        from dit4sr.export.architectures.sd3_controlnet.reference import ReleasedReference

        return ReleasedReference(self._config(config))

    def _config(self, config: Config) -> SystemConfig:
        from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig

        return SystemConfig.from_json(config, source="the manifest's config of the network")


ARCHITECTURE = Sd3ControlNetArchitecture()
