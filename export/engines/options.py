"""Options of the command line that more than one kind of engine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

Given = Mapping[str, Any]
"""Options by name as the command read them, its own ``components`` (names) and ``no_verify`` among them."""

ARCH = click.Option(
    ["--arch"], type=click.IntRange(50, 999), help="GPU architecture the engines must be for, as 90."
)
PROFILES = click.Option(
    ["--profile", "profiles"],
    multiple=True,
    metavar="HxW",
    help="Pictures in pixels, for tensorrt also LEAST:BEST:LARGEST; by default the training tile.",
)
