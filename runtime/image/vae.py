"""Pictures to latents and back, in tiles, so that memory follows the tile and not the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.contract import refuse_other
from dit4sr.runtime.backends.protocol import Array, Backend, Context
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.extremes import Extremes
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.sampling.tiles import Blend, Tiling

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PictureCoder:
    """Takes pictures to latents and back through the VAE's two halves, given their engines."""

    backend: Backend
    card: ModelCard
    tick: Callable[[], None]
    is_flat: bool = False
    """True for a photo of one colour: what is made of such a one may be constant, and of no other."""

    def encode(self, encoder: Context, picture: Picture, tiling: Tiling) -> Floats:
        """Encode ``[height, width, 3]`` to moments ``[2 · channels, h, w]``: means, then log-variances."""
        name, channels = "vae_encoder", 2 * self.card.latent_channels
        blend, extremes = Blend(tiling, channels), Extremes(f"what the {name} has made")
        planes = picture.transpose(2, 0, 1)
        for tile in tiling.tiles:
            part = tile.crop(planes, self.card.vae_factor).astype(np.float32)
            part /= np.iinfo(picture.dtype).max / 2
            part -= 1
            results = encoder.run({"image": self.backend.upload(part[None])})
            shape = (1, channels, tile.height, tile.width)
            blend.add(tile, self._sound(name, "moments", results, shape, extremes))
            self.tick()
        if not self.is_flat:
            extremes.refuse_constant()
        return blend.picture

    def decode(self, decoder: Context, latent: Floats, tiling: Tiling, dtype: Any = np.uint8) -> Picture:
        """Decode a scaled latent ``[channels, h, w]`` to a picture ``[height, width, 3]`` of some depth.

        Rows of tiles are blended into a band; what no later row touches leaves it as whole levels.
        """
        name, factor, card = "vae_decoder", self.card.vae_factor, self.card
        extremes = Extremes(f"what the {name} has made")
        picture = np.empty((tiling.height * factor, tiling.width * factor, 3), dtype=dtype)
        half = np.iinfo(dtype).max / 2
        band = np.zeros((3, tiling.tile_height * factor, tiling.width * factor), dtype=np.float32)
        rows, columns = list(tiling.rows()), tiling.column_shares(factor)
        tops = [row[0].top * factor for row in rows] + [tiling.height * factor]
        for i, (row, row_share) in enumerate(zip(rows, tiling.row_shares(factor), strict=True)):
            for tile, column_share in zip(row, columns, strict=True):
                part = (tile.crop(latent) / card.scaling + card.shift).astype(np.float32)
                results = decoder.run({"latent": self.backend.upload(part[None])})
                shape = (1, 3, tile.height * factor, tile.width * factor)
                decoded = self._sound(name, "image", results, shape, extremes)
                left = tile.left * factor
                target = band[:, :, left : left + len(column_share)]
                np.add(target, decoded * np.outer(row_share, column_share), out=target)
                self.tick()
            finished = tops[i + 1] - tops[i]
            done = (band[:, :finished] * half + half).clip(0, 2 * half).round().astype(dtype)
            picture[tops[i] : tops[i + 1]] = done.transpose(1, 2, 0)
            band[:, : band.shape[1] - finished] = band[:, finished:].copy()
            band[:, band.shape[1] - finished :] = 0
        if not self.is_flat:
            extremes.refuse_constant()
        return picture

    def _sound(
        self,
        component: str,
        name: str,
        results: Mapping[str, Array],
        shape: tuple[int, ...],
        extremes: Extremes,
    ) -> Floats:
        """Take what was made of one tile, if it has the size that the model card says and is finite."""
        array = results[name]
        refuse_other(component, name, (array.dtype, array.shape), (np.dtype(np.float32), shape))
        values: Floats = self.backend.download(array)[0]
        extremes.include(values)
        return values


def posterior(moments: Floats, noise: Floats | None) -> Floats:
    """Sample the encoder's Gaussian for each noise ``[n, channels, h, w]``; without any, take its mean."""
    mean, log_variance = np.split(moments, 2)
    if noise is None:
        return mean[None]
    spread: Floats = np.exp(log_variance.clip(np.float32(-30), np.float32(20)) * np.float32(0.5))
    samples: Floats = mean + spread * noise
    return samples


def scaled(latent: Floats, card: ModelCard) -> Floats:
    """Bring a latent to the scale the network was trained with."""
    return ((latent - card.shift) * card.scaling).astype(np.float32)
