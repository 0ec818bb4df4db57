"""The VAE: an AutoencoderKL of small widths, trained to give back what it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from dit4sr.export.tiny.data.crops import batches, vae_batch
from dit4sr.export.tiny.recipe import CHANNELS, VAE, Recipe
from dit4sr.export.tiny.training.loop import Say, Training

STAGE = 1
"""Number of the VAE's stage; stages draw from different streams of random numbers."""
FIRST_LOG_VARIANCE = -5.0
"""The encoder's spread at the beginning: with none of this, its noise drowns what there is to learn."""


def new_vae(seed: int) -> AutoencoderKL:
    """Make the VAE before training, which already passes on a blurred picture.

    From the usual beginning the first thousand iterations go into finding out that what comes out should look
    like what went in. Here every residual branch starts silent, every shortcut hands its channels on, the
    encoder's strides take Haar wavelets, the coarse ones first, and the decoder's upsampling starts as it is.
    """
    torch.manual_seed(seed)
    vae = AutoencoderKL(**VAE)
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            match name.split(".")[-2:]:
                case ["conv2", _]:
                    parameter.zero_()
                case ["conv_shortcut", "weight"]:
                    hand_on(parameter, 0)
                case ["conv", "weight"] if "downsamplers" in name:
                    take_wavelets(parameter)
                case ["conv", "weight"] if "upsamplers" in name:
                    parameter.mul_(0.5)[:, :, 1, 1] += torch.eye(len(parameter))
        hand_on(vae.encoder.conv_in.weight, 1)
        closing = vae.encoder.conv_out
        closing.weight[CHANNELS:] = 0
        closing.bias[CHANNELS:] = FIRST_LOG_VARIANCE
    return vae


def hand_on(kernel: Tensor, centre: int) -> None:
    """Make the first outputs of a convolution copies of its inputs."""
    channels = min(kernel.shape[:2])
    kernel[:channels] = 0
    kernel[range(channels), range(channels), centre, centre] = 1


def take_wavelets(kernel: Tensor) -> None:
    """Make the outputs of a stride averages of the first quarter of inputs, then their three differences."""
    quarter = len(kernel) // 4
    kernel.zero_()
    haar = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    for band in range(4):
        along, across = haar[band // 2], haar[band % 2]
        for channel in range(quarter):
            kernel[band * quarter + channel, channel, :2, :2] = torch.outer(along, across)


def train_vae(recipe: Recipe, folder: Path, *, seed: int, device: str, say: Say) -> AutoencoderKL:
    """Train the VAE for all iterations still to do, and return the average of its weights."""
    vae = new_vae(seed).to(device)
    cycles = [(phase,) for phase in recipe.vae]
    training = Training("vae", vae, recipe.vae_schedule, cycles, folder=folder, seed=seed)

    def loss(pictures: NDArray[np.uint8]) -> Tensor:
        return reconstruction_loss(vae, as_image(pictures, device), training.generator)

    crops = batches(vae_batch, recipe.vae, (seed, STAGE), done=training.done)
    training.run(crops, loss, say=say, report_every=recipe.report_every, save_every=recipe.save_every)
    average = training.average.network
    assert isinstance(average, AutoencoderKL)
    return average


def reconstruction_loss(vae: AutoencoderKL, image: Tensor, generator: torch.Generator) -> Tensor:
    """How far a picture is off after the VAE, in its values and its edges; latents are kept near one."""
    with torch.autocast(image.device.type, torch.bfloat16):
        mean, log_variance = vae.encoder(image).float().chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator, device=image.device)
        back = vae.decoder(mean + (log_variance.clamp(-30, 20) / 2).exp() * noise).float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss: Tensor = image_distance(back, image) + 1e-6 * divergence
    return loss


def image_distance(picture: Tensor, truth: Tensor) -> Tensor:
    """Distance of a picture from the truth, in its values and its edges."""
    off = picture - truth
    edges = off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()
    loss: Tensor = off.abs().mean() + 4 * off.square().mean() + 0.25 * edges
    return loss


def as_image(pictures: NDArray[np.uint8], device: str) -> Tensor:
    """Turn bytes of pictures into numbers from -1 to 1."""
    return torch.tensor(pictures, device=device).float() / 127.5 - 1
