"""The VAE as two components, encoder and decoder, of diffusers' AutoencoderKL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from dit4sr.export.architectures.autoencoder_kl.config import SD35_VAE, read_config
from dit4sr.export.component import ComponentSource
from dit4sr.export.weights.checkpoint import Checkpoint, check_layout
from dit4sr.export.weights.sources import RandomWeights, StateDict, WeightSource
from dit4sr.runtime.bundles.manifest import TensorSpec


class VaeEncoder(nn.Module):
    """Picture to latent moments; sampling from them stays outside the graph, with its random numbers."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.encoder = vae.encoder

    def forward(self, image: Tensor) -> Tensor:
        """Encode pictures ``[images, 3, H, W]`` in ±1 as mean and log-variance, stacked on channels."""
        moments: Tensor = self.encoder(image)
        return moments


class VaeDecoder(nn.Module):
    """Latent to picture; the latent comes already unscaled."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.decoder = vae.decoder

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latents ``[images, 16, h, w]`` to pictures ``[images, 3, H, W]`` in ±1, not clamped."""
        image: Tensor = self.decoder(latent)
        return image


@dataclass(frozen=True)
class Vae:
    """An AutoencoderKL without quant convolutions, as SD3.5's is."""

    weights: WeightSource
    config: Mapping[str, Any] = field(default_factory=lambda: SD35_VAE)

    def components(self) -> list[ComponentSource]:
        """The components `vae_encoder` and `vae_decoder`."""
        vae = self.network()
        channels = self.config["latent_channels"]
        ends = [
            ("vae_encoder", VaeEncoder(vae), ("image", 3, "moments")),
            ("vae_decoder", VaeDecoder(vae), ("latent", channels, "image")),
        ]
        return [
            ComponentSource(
                name,
                module.eval().requires_grad_(False),
                (TensorSpec(given, "float32", ("images", width, *_plane(given))),),
                (made,),
                {key: key for key in module.state_dict()},
                self.weights,
            )
            for name, module, (given, width, made) in ends
        ]

    def layout(self) -> dict[str, tuple[int, ...]]:
        """Tensor names and shapes of the autoencoder."""
        return {key: tuple(tensor.shape) for key, tensor in self.network().state_dict().items()}

    def network(self) -> AutoencoderKL:
        """The autoencoder on meta tensors."""
        with torch.device("meta"):
            return AutoencoderKL(**self.config)


def _plane(tensor: str) -> tuple[str, str]:
    return ("pixel_height", "pixel_width") if tensor == "image" else ("height", "width")


def checkpoint_vae(checkpoint: Checkpoint, factor: int) -> Vae:
    """The VAE in a folder of diffusers' layout, checked tensor by tensor."""
    vae = Vae(checkpoint, read_config(checkpoint.path / "config.json", factor))
    check_layout(checkpoint, vae.layout(), "the VAE that its config describes")
    return vae


def random_vae(config: Mapping[str, Any], seed: int) -> Vae:
    """A VAE with weights drawn from a seed."""
    layout = Vae(StateDict({}), config).layout()
    return Vae(RandomWeights(layout, seed), config)
