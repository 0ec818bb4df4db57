"""How to restore: everything a user may choose, with the bundle's own values where they do not."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any

from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.bundles.presets import MOST_STEPS, Preset
from dit4sr.runtime.bundles.schema import to_json
from dit4sr.runtime.choices import OneOf, OneOfOrNone, unknown
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.image.geometry import check_scale
from dit4sr.runtime.noise.streams import Rng
from dit4sr.runtime.prompt.wording import Wording
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver, read_velocities

MOST_TEXT_TOKENS = 4096
MOST_TILES = 4096
"""Of a batch: what a device holds is far less."""
MOST_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Settings:
    """Everything a user may choose about a picture. ``None`` leaves a choice to the bundle.

    A word will do for a member of an enumeration: ``Settings(solver="dpmpp-2m")``.
    """

    scale: float = 4.0
    preset: str | None = None
    """One of the bundle's; what else is chosen here goes before what it says."""
    steps: int | None = None
    solver: OneOfOrNone[Solver] = OneOfOrNone(Solver)
    guidance: float | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    velocities: str | None = None
    """A letter for each step, `dit4sr.runtime.sampling.solver`; by default the network runs at each."""
    rng: OneOf[Rng] = OneOf(Rng.TORCH_CPU)
    sample_posterior: bool = True
    """Draw the low-resolution latent from the encoder's Gaussian, as released, or take its mean."""
    text_tokens: int | None = None
    """Rows of a prompt that the network reads."""
    tile: int | None = None
    """Side of a tile in pixels of the result."""
    overlap: int | None = None
    """How much tiles share, in pixels of the result."""
    tile_batch: int = 1
    colour: OneOf[ColourFix] = OneOf(ColourFix.ADAIN)
    cuts_off: bool = False
    """Drop decimals after the colour fix, half a level darker, to compare with the released code."""
    wording: Wording = field(default_factory=Wording)
    most_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        check_scale(self.scale)
        _check_whole(self.steps, "{} steps", 1, MOST_STEPS)
        _check_whole(self.text_tokens, "{} rows of text", 1, MOST_TEXT_TOKENS)
        _check_whole(self.tile, "tiles of {} pixels", 1)
        _check_whole(self.overlap, "tiles that share {} pixels", 0)
        _check_whole(self.tile_batch, "a batch of {} tiles", 1, MOST_TILES)
        _check_whole(self.most_pixels, "{} pixels at most", 1)
        Guidance(1.0 if self.guidance is None else self.guidance, self.guidance_interval)
        if self.velocities is not None:
            read_velocities(self.velocities)

    def resolved(self, card: ModelCard) -> Settings:
        """Fill in the preset's values, then the bundle's; tiles share three eighths by default."""
        tile = card.training_tile * card.vae_factor if self.tile is None else self.tile
        unit = card.vae_factor * card.patch_size
        if tile < unit or tile % unit:
            raise BadInputError(f"tiles of {tile} pixels", expected=f"a multiple of {unit}")
        overlap = tile * 3 // 8 if self.overlap is None else self.overlap
        if not 0 <= overlap < tile:
            raise BadInputError(f"tiles of {tile} pixels that share {overlap}", expected=f"0 to {tile - 1}")
        return replace(self._sampled(card), tile=tile, overlap=overlap)

    def schedule(self, card: ModelCard) -> SamplingSchedule:
        """Make the sampling schedule of a run with these settings."""
        known = self._sampled(card)
        assert known.steps is not None
        assert known.solver is not None
        assert known.guidance is not None
        return SamplingSchedule.of(
            known.steps,
            card.schedule_shift,
            known.solver,
            Guidance(known.guidance, self.guidance_interval),
            None if known.velocities is None else read_velocities(known.velocities),
        )

    def _preset(self, card: ModelCard) -> Preset | None:
        """The preset that was asked for, if any was."""
        if self.preset is None:
            return None
        known = {preset.name: preset for preset in card.presets}
        if not known:
            raise BadInputError(
                f"no preset {self.preset!r}: this bundle has none",
                fix="find its presets with dit4sr-calibrate BUNDLE --schedule, or choose --steps",
            )
        if self.preset not in known:
            raise unknown(f"no preset {self.preset!r}", str(self.preset), list(known))
        return known[self.preset]

    def _sampled(self, card: ModelCard) -> Settings:
        """These settings with the preset's, or the bundle's, where nothing was chosen.

        The velocities of a preset are for as many steps as it has, and for no others.
        """
        preset, steps, velocities = self._preset(card), self.steps, self.velocities
        if steps is None and velocities is not None:
            steps = len(velocities)
        if steps is None:
            steps = preset.steps if preset else card.default_steps
        if velocities is None and preset and steps == preset.steps:
            velocities = preset.velocities
        guidance = self.guidance
        if guidance is None:
            guidance = preset.guidance if preset else card.default_guidance
        solver = self.solver or (preset.solver if preset else Solver.EULER)
        return replace(self, steps=steps, solver=solver, guidance=guidance, velocities=velocities)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the same for the same choices."""
        plain: dict[str, Any] = to_json(self)
        return plain | {
            "solver": self.solver and self.solver.value,
            "rng": self.rng.value,
            "colour": self.colour.value,
        }


def _check_whole(value: Any, said: str, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number within its bounds; None is a choice left to the bundle."""
    try:
        is_fine = value is None or least <= operator.index(value) <= (most or operator.index(value))
    except TypeError:
        is_fine = False
    if not is_fine:
        bounds = f"{least} to {most}" if most else f"{least} or more"
        raise BadInputError(said.format(value), expected=f"a whole number, {bounds}")


@dataclass(frozen=True)
class TileSizes:
    """Sizes of tiles and overlaps in latent units: the network's and the VAE's."""

    tile: int
    overlap: int
    vae_tile: int
    vae_overlap: int

    @classmethod
    def of(cls, settings: Settings, card: ModelCard) -> TileSizes:
        """Find the sizes for some settings; the VAE's tiles are twice as long as the network's.

        It is the lighter part, and its normalisation should see as much of the picture as it can.
        """
        known = settings.resolved(card)
        assert known.tile is not None
        assert known.overlap is not None
        tile = known.tile // card.vae_factor
        return cls(tile, known.overlap // card.vae_factor, 2 * tile, tile // 2)

    def halved(self, card: ModelCard) -> TileSizes | None:
        """Halve the side of the tiles, for when memory has run out; None if they could not be smaller."""
        tile = self.tile // 2 // card.patch_size * card.patch_size
        if tile == 0:
            return None
        overlap = min(self.overlap // 2, tile - 1)
        return TileSizes(tile, overlap, max(self.vae_tile // 2, 1), self.vae_overlap // 2)
