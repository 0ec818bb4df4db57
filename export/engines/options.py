"""Options of the command line that more than one kind of engine takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from dit4sr.runtime.console.names import parse_names
from dit4sr.runtime.errors import BadInputError

Given = Mapping[str, Any]
"""Options by name as the command read them, its own ``components`` (names) and ``no_verify`` among them."""


class ArchitecturesType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """Compute capabilities of GPUs as numbers, separated by commas: ``80,86,89``."""

    name = "architectures"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers that a word lists; a default may be numbers already."""
        if isinstance(value, tuple):
            return value
        names = parse_names(value)
        if not names or any(not re.fullmatch("[0-9]{2,3}", name) or int(name) < 50 for name in names):
            self.fail(f"{value!r} are no GPU architectures; write 90, or 80,86,89", param, ctx)
        return tuple(dict.fromkeys(map(int, names)))


def single_architecture(given: Given) -> int | None:
    """The one architecture that was asked for, for engines that are built for one."""
    found: tuple[int, ...] = given["arch"]
    if len(found) > 1:
        raise BadInputError(
            f"--arch with {len(found)} architectures", expected="one; only tensorrt-rtx builds for several"
        )
    return found[0] if found else None


ARCH = click.Option(
    ["--arch"],
    type=ArchitecturesType(),
    default=(),
    metavar="N,N",
    help="GPU architectures the engines must be for, as 90; tensorrt-rtx takes several.",
)
ALLOW_UNFUSED = click.Option(
    ["--allow-unfused"], is_flag=True, help="tensorrt, tensorrt-rtx: accept what the compiler did not fuse."
)
PROFILES = click.Option(
    ["--profile", "profiles"],
    multiple=True,
    metavar="HxW",
    help="Pictures in pixels, for either tensorrt also LEAST:BEST:LARGEST; by default the training tile.",
)
