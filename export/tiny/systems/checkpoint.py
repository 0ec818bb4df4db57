"""Checkpoints of the systems, each in its own layout."""

from __future__ import annotations

from pathlib import Path

from dit4sr.export.tiny.recipe import TILE
from dit4sr.export.tiny.system import TinySystem, read_parts, write_parts
from dit4sr.export.tiny.systems.networks import new_system, parts_of

STEPS, GUIDANCE = 2, 1.0
"""Defaults of the checkpoints, as of dit4sr-tiny."""


def write_system(name: str, system: TinySystem, folder: Path) -> None:
    """Write a trained system in FP16."""
    defaults = {"name": f"{name}, side by side", "steps": STEPS, "guidance": GUIDANCE, "tile": TILE}
    write_parts(system, parts_of(name, system.restorer), folder, defaults)


def read_system(name: str, folder: Path) -> TinySystem:
    """Read what `write_system` wrote, as it was rounded."""
    restorer = new_system(name, seed=0)
    return read_parts(folder, restorer, parts_of(name, restorer))
