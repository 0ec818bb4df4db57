"""The house: rooms that one can look over, and a page that leads to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["bench", "calibrate", "dit4sr", "export", "kernels", "runtime"]
MOST = 13
"""Modules of a room: about a dozen."""

PAGE = ROOT / "docs" / "architecture.md"


def rooms() -> list[Path]:
    return sorted({module.parent for folder in FOLDERS for module in (ROOT / folder).rglob("*.py")})


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(ROOT).as_posix())
def test_no_room_holds_more_than_about_a_dozen_modules(room):
    modules = [path.name for path in room.glob("*.py") if not path.name.startswith("__")]
    assert len(modules) <= MOST, modules


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(ROOT).as_posix())
def test_every_room_says_what_it_is(room):
    assert (room / "__init__.py").read_text().startswith('"""')


def paths_named(text: str) -> list[str]:
    """What the page names in backticks that looks like a path of this repository."""
    quoted = re.findall(r"`([^`\s]+)`", text)
    return [name for name in quoted if "/" in name and "<" not in name]


def test_every_path_that_the_architecture_page_names_exists():
    named = paths_named(PAGE.read_text())
    assert len(named) > 40
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_leads_to_every_part_of_the_house():
    named = set(paths_named(PAGE.read_text()))
    assert {f"{folder}/" for folder in FOLDERS} <= named
