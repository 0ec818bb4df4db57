"""A toy architecture, as somebody else would add one: this folder is all there is of it.

Two convolutions: one looks at the photo once, the other at the noise in every step. No text, no positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.export.architectures.step import Step, step_recipes
from dit4sr.export.architectures.summary import ModelSummary, ParameterGroup
from dit4sr.export.component import ComponentSource
from dit4sr.export.sampling import Sampling
from dit4sr.export.weights.checkpoint import check_layout
from dit4sr.export.weights.sources import RandomWeights, WeightSource
from dit4sr.runtime.bundles.manifest import ModelCard, TensorSpec


class Look(nn.Module):
    """Once per picture: what the photo asks for, and how fast each step goes there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, condition: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        pace = (timesteps / 1000)[:, None, None].expand(-1, condition.shape[0], 1)
        return self.look(condition), pace


class Move(nn.Module):
    """Once per step: the velocity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.move = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, latent: Tensor, guide: Tensor, pace: Tensor) -> Tensor:
        return self.move(latent) * pace[:, :, None, None] - guide


@dataclass(frozen=True)
class ToyNetwork:
    channels: int
    weights: WeightSource

    def to_json(self) -> dict:
        return {"channels": self.channels}

    def card(self, precision: str, sampling: Sampling) -> ModelCard:
        return ModelCard(
            name=sampling.name,
            flavour="",
            variant="",
            precision=precision,
            latent_channels=self.channels,
            vae_factor=sampling.vae_factor,
            scaling=sampling.scaling,
            shift=sampling.shift,
            patch_size=1,
            schedule_shift=sampling.schedule_shift,
            training_tile=8,
            default_steps=sampling.steps,
            default_guidance=sampling.guidance,
            text_tokens=sampling.text_tokens,
            text_channels=1,
            pooled_channels=1,
            positions=None,
            weights="trained",
        )

    def sight(self) -> None:
        """No picture prompts it."""

    def components(self) -> list[ComponentSource]:
        latent = ("height", "width")
        with torch.device("meta"):
            look, step = Look(self.channels), Step(Move(self.channels))
        return [
            ComponentSource(
                "prepare",
                look.eval().requires_grad_(False),
                (_floats("condition", "rows", self.channels, *latent), _floats("timesteps", "steps")),
                ("guide", "pace"),
                {key: key for key in look.state_dict()},
                self.weights,
            ),
            ComponentSource(
                "step",
                step.eval().requires_grad_(False),
                (
                    _floats("latent", "images", self.channels, *latent),
                    _floats("previous_velocity", "images", self.channels, *latent),
                    _floats("guidance", "branches"),
                    _floats("coefficients", 3),
                    _floats("guide", "rows", self.channels, *latent),
                    _floats("pace", "rows", 1),
                ),
                ("next_latent", "velocity"),
                step_recipes({key: key for key in Move(1).state_dict()}),
                self.weights,
            ),
        ]


class ToyArchitecture:
    name = "toy"
    companions = ()
    layers = LayerNames({"everything": "."}, {}, wide="look", rest="nothing")
    ablations = MappingProxyType({})

    def options(self) -> tuple:
        return ()

    def sampling(self) -> Sampling:
        return Sampling(name="a toy", steps=2, guidance=2.0, text_tokens=1)

    def detect(self, checkpoint) -> bool:
        return "look.weight" in checkpoint.tensors

    def load(self, checkpoint, _choices) -> ToyNetwork:
        channels = checkpoint.tensors["look.weight"].shape[0]
        check_layout(checkpoint, layout(channels), "a toy")
        return ToyNetwork(channels, checkpoint)

    def published(self, _choices) -> dict:
        return {"channels": 16}

    def smallest(self) -> dict:
        return {"channels": 4}

    def random(self, config, seed: int) -> ToyNetwork:
        return ToyNetwork(config["channels"], RandomWeights(layout(config["channels"]), seed))

    def summary(self, config, picture, _text_tokens) -> ModelSummary:
        channels, pixels = config["channels"], picture[0] * picture[1] // 64
        macs = {"everything": 9 * channels**2 * pixels}
        group = ParameterGroup("everything", "a toy", 2 * channels * (9 * channels + 1), 0)
        return ModelSummary("two convolutions", 4, (group,), 0, group.live // 2, macs, macs)

    def reference(self, _config):
        raise AssertionError("nobody benchmarks a toy")


def layout(channels: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.{part}": shape
        for name in ("look", "move")
        for part, shape in (("weight", (channels, channels, 3, 3)), ("bias", (channels,)))
    }


def _floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)


ARCHITECTURE = ToyArchitecture()
