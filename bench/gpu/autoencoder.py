"""The layers of SD3.5's VAE, for timing where diffusers is not installed.

The product takes the VAE from diffusers; a machine that is lent for minutes has torch and little else. These
layers answer as diffusers' do with the same weights, in the same order, which a test holds.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (128, 256, 512, 512)
LATENT = 16


class Norm(nn.GroupNorm):
    """The normalisation before every convolution; the activation comes after it."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels, eps=1e-6)


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, given: int, made: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(groups, given), nn.Conv2d(given, made, 3, padding=1)
        self.norm2, self.conv2 = Norm(groups, made), nn.Conv2d(made, made, 3, padding=1)
        self.shortcut = nn.Conv2d(given, made, 1) if given != made else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``[images, given, h, w]`` to ``[images, made, h, w]``."""
        inner = self.conv1(F.silu(self.norm1(x)))
        answer: Tensor = self.shortcut(x) + self.conv2(F.silu(self.norm2(inner)))
        return answer


class Attention(nn.Module):
    """An attention with one head, in which every place of the latent reads every other."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = Norm(groups, channels)
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """The answer of the attention, added to what was there."""
        places = self.norm(x).flatten(2).mT
        answer = F.scaled_dot_product_attention(
            self.query(places).unsqueeze(1), self.key(places).unsqueeze(1), self.value(places).unsqueeze(1)
        )
        added: Tensor = self.out(answer.squeeze(1)).mT.unflatten(2, x.shape[2:])
        return x + added


class Middle(nn.Module):
    """The layers at the coarsest level: an attention between two residuals."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.attention = Attention(channels, groups)
        self.before, self.after = (Residual(channels, channels, groups) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """``[images, channels, h, w]`` to the same shape."""
        answer: Tensor = self.after(self.attention(self.before(x)))
        return answer


class Halve(nn.Module):
    """A convolution of stride two, padded at the far edges alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``[images, channels, h, w]`` to half the sides."""
        answer: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return answer


class Double(nn.Module):
    """Every value taken four times, then filtered by a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[images, channels, h, w]`` to twice the sides."""
        answer: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return answer


class Encoder(nn.Module):
    """The VAE's encoder: a picture to the mean and log-variance of its latent."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS, layers: int = 2, groups: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels[0], 3, padding=1)
        levels: list[nn.Module] = []
        for given, made in zip((channels[0], *channels), channels, strict=False):
            levels += [Residual(given if layer == 0 else made, made, groups) for layer in range(layers)]
            levels.append(Halve(made))
        self.levels = nn.Sequential(*levels[:-1])
        self.middle = Middle(channels[-1], groups)
        self.norm = Norm(groups, channels[-1])
        self.last = nn.Conv2d(channels[-1], 2 * LATENT, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """``[images, 3, H, W]`` to ``[images, 32, H / 8, W / 8]``."""
        moments: Tensor = self.last(F.silu(self.norm(self.middle(self.levels(self.first(image))))))
        return moments


class Decoder(nn.Module):
    """The VAE's decoder: a latent to a picture."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS, layers: int = 2, groups: int = 32) -> None:
        super().__init__()
        widths = channels[::-1]
        self.first = nn.Conv2d(LATENT, widths[0], 3, padding=1)
        levels: list[nn.Module] = []
        for given, made in zip((widths[0], *widths), widths, strict=False):
            levels += [Residual(given if layer == 0 else made, made, groups) for layer in range(layers + 1)]
            levels.append(Double(made))
        self.levels = nn.Sequential(*levels[:-1])
        self.middle = Middle(widths[0], groups)
        self.norm = Norm(groups, widths[-1])
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """``[images, 16, h, w]`` to ``[images, 3, 8 h, 8 w]``."""
        image: Tensor = self.last(F.silu(self.norm(self.levels(self.middle(self.first(latent))))))
        return image
