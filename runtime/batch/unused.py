"""Options that change nothing about a job: said once, for whoever typed them expects otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import JobConfig, Record
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import TileSizes
from dit4sr.runtime.upscaler import Upscaler

LOSSY = {"JPEG", "WEBP"}
TILES = ("tile", "tile_overlap", "tile_batch")
Found = Iterator[tuple[str, str]]
"""The parameter of an option, and why it changes nothing."""


class Unused:
    """Looks for options without effect: before a job by bundle and names, after it by the pictures' sizes."""

    def __init__(
        self, upscaler: Upscaler, items: Sequence[Item], config: JobConfig, typed: Mapping[str, str]
    ) -> None:
        """``typed`` are the options that the user gave, by the names of their parameters."""
        self._upscaler, self._items, self._config, self._typed = upscaler, items, config, typed
        self._sizes: set[tuple[int, int]] = set()

    def before(self) -> list[str]:
        """What is known before any picture is read."""
        found = [*self._of_guidance(), *self._of_words(), *self._of_outputs()]
        options = [f"{self._typed[name]} has no effect: {why}" for name, why in found if name in self._typed]
        return [*options, *self._sidecars()]

    def see(self, record: Record) -> None:
        """Look at a picture that has been restored."""
        if record.status == "done":
            width, height = record.details["input_size"]
            self._sizes.add((width, height))

    def after(self) -> list[str]:
        """What the sizes of all pictures that were restored tell."""
        given = [self._typed[name] for name in TILES if name in self._typed]
        if not given or not self._sizes or not all(self._is_whole_anyway(*size) for size in self._sizes):
            return []
        return [f"{' and '.join(given)} had no effect: no picture is larger than a tile"]

    def _of_guidance(self) -> Found:
        settings = self._config.settings.resolved(self._upscaler.card)
        if settings.schedule(self._upscaler.card).branches == 2:
            return
        assert settings.guidance is not None
        if settings.guidance <= 1:
            yield "negative_prompt", "guidance is off"
            yield "guidance_interval", "guidance is off"
        else:
            why = "no step lies in the guidance interval"
            if settings.velocities is not None and "g" not in settings.velocities:
                why = "no step of the preset is guided"
            yield "negative_prompt", why
            yield "guidance", why

    def _of_words(self) -> Found:
        if not self._upscaler.reads_words:
            yield "quality_prompt", "the bundle has no text encoders"
        if self._config.captions.for_all is not None:
            yield "prompts_file", "--prompt is for all pictures"
            yield "captioner", "--prompt is for all pictures"
            return
        by_name = self._config.captions.by_name
        names = {name for item in self._items if item.source for name in (item.source.name, item.source.stem)}
        if by_name and names.isdisjoint(by_name):
            yield "prompts_file", f"no picture has any of its names, such as {next(iter(by_name))!r}"

    def _of_outputs(self) -> Found:
        if not any(item.format in LOSSY for item in self._items):
            yield "quality", "nothing is written as JPEG or WEBP"

    def _sidecars(self) -> list[str]:
        """Texts beside the pictures that a bundle without text encoders leaves unread."""
        if self._upscaler.reads_words:
            return []
        texts = (item.source.with_suffix(".txt") for item in self._items if item.source)
        found = next((text for text in texts if text.is_file()), None)
        return [f"{found} is not read: the bundle has no text encoders"] if found else []

    def _is_whole_anyway(self, width: int, height: int) -> bool:
        """True if a picture is one tile, with the tiles that were asked for and with the bundle's own."""
        settings, card = self._config.settings, self._upscaler.card
        geometry = self._upscaler.geometry(width, height, settings)
        own = replace(settings, tile=None, overlap=None)
        plans = [Plan.of(geometry, each, card, TileSizes.of(each, card)) for each in (settings, own)]
        return all(plan.tiling.is_whole and plan.vae_tiling.is_whole for plan in plans)
