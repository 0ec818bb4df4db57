"""How a picture is going to be restored: its sizes and tiles, its schedule, and the runs of every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.tiles import Tiling
from dit4sr.runtime.settings import Settings, TileSizes

ENGINES = ("vae_encoder", "prepare", "step", "vae_decoder")
"""The components that every picture passes through, in this order."""


@dataclass(frozen=True)
class Plan:
    """What the loop does for one picture; known before any engine is opened."""

    tiling: Tiling
    """The network's."""
    vae_tiling: Tiling
    schedule: SamplingSchedule
    tile_batch: int
    text_tokens: int | None = None
    """Rows of a prompt; the bundle's own number where none was chosen."""

    @classmethod
    def of(cls, geometry: Geometry, settings: Settings, card: ModelCard, sizes: TileSizes) -> Plan:
        """Plan a picture of some size, with tiles of those sizes."""
        width, height = (side // card.vae_factor for side in geometry.work)
        return cls(
            Tiling.cover(height, width, sizes.tile, sizes.overlap, card.patch_size),
            Tiling.cover(height, width, sizes.vae_tile, sizes.vae_overlap),
            settings.schedule(card),
            settings.tile_batch,
            settings.text_tokens,
        )

    @property
    def runs(self) -> Mapping[str, int]:
        """How often each engine runs."""
        tiles, vae_tiles = len(self.tiling.tiles), len(self.vae_tiling.tiles)
        return {
            "vae_encoder": vae_tiles,
            "prepare": tiles,
            "step": self.schedule.steps * -(-tiles // self.tile_batch),
            "vae_decoder": vae_tiles,
        }

    def left(self, counted: int) -> Mapping[str, int]:
        """The runs that are left of each engine after so many, of which `prepare`'s are not counted."""
        left = dict(self.runs)
        if counted > left["vae_encoder"]:
            left["prepare"] = 0
        for name in ("vae_encoder", "step", "vae_decoder"):
            over = min(left[name], counted)
            left[name] -= over
            counted -= over
        return left

    @property
    def counted(self) -> int:
        """The runs of all engines but `prepare`."""
        return sum(self.runs.values()) - self.runs["prepare"]
