"""The smallest systems that restore a photo: few layers, a convolution for each half of the VAE."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from support.dual_prompted import TOWER
from support.networks import smallest_config
from torch import Tensor, nn

from dit4sr.export import architectures
from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.export.architectures.dit4sr.config import Flavour
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.image_encoders.encoders import random_image_encoders
from dit4sr.export.architectures.protocol import Network
from dit4sr.export.component import ComponentSource
from dit4sr.export.pipeline import Pipeline
from dit4sr.export.sampling import random_prompts
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.manifest import TensorSpec

CHANNELS, SEED = 16, 5
VAE_FACTOR = ARCHITECTURE.sampling().vae_factor


class Shrink(nn.Module):
    """Picture to moments, every patch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2 * CHANNELS, VAE_FACTOR, stride=VAE_FACTOR)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


class Grow(nn.Module):
    """Latent to picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 3 * VAE_FACTOR**2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(latent), VAE_FACTOR).tanh()


def small_system(flavour: Flavour = Flavour.COPIED, seed: int = SEED) -> Pipeline:
    """DiT4SR of two layers, its weights by seed."""
    config = smallest_config(flavour)
    return small_pipeline(
        ARCHITECTURE.name, Dit4sr(config, RandomWeights(read_tensors(config), seed), "random"), seed
    )


def small_dual_prompted_system(seed: int = SEED) -> Pipeline:
    """A DPIR of three layers, prompted by an image tower of two, its weights by seed."""
    system = architectures.named("dpir")
    network = system.random(system.smallest(), seed)
    encoders = random_image_encoders(seed, network.sight(), TOWER)
    return replace(
        small_pipeline(system.name, network, seed),
        image_encoders=tuple(encoder.component() for encoder in encoders),
    )


def small_controlled_system(seed: int = SEED) -> Pipeline:
    """An SD3-ControlNet of four layers and two, its weights by seed."""
    controlled = architectures.named("sd3-controlnet")
    return small_pipeline(controlled.name, controlled.random(controlled.smallest(), seed), seed)


def small_pipeline(architecture: str, network: Network, seed: int = SEED) -> Pipeline:
    """A network and a VAE that compiles in seconds, where diffusers' takes minutes."""
    image = ("images", 3, "pixel_height", "pixel_width")
    latent = ("images", CHANNELS, "height", "width")
    with torch.device("meta"):
        halves = [
            ("vae_encoder", Shrink(), TensorSpec("image", "float32", image), "moments"),
            ("vae_decoder", Grow(), TensorSpec("latent", "float32", latent), "image"),
        ]
    vae = []
    for name, module, given, made in halves:
        shapes = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
        vae.append(
            ComponentSource(
                name,
                module.eval().requires_grad_(False),
                (given,),
                (made,),
                {key: key for key in shapes},
                RandomWeights(shapes, seed),
            )
        )
    sampling = architectures.named(architecture).sampling()
    return Pipeline(
        architecture,
        network,
        sampling,
        vae=tuple(vae),
        origin={"random weights": f"seed {seed}"},
        prompts=random_prompts(seed, network.card("fp32", sampling), tokens=333),
    )
