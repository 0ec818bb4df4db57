"""The command's options for packages, and the config that they make."""

from __future__ import annotations

import click

from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.options import ARCH, PROFILES, Given, single_architecture
from dit4sr.runtime.backends.inductor import NAME
from dit4sr.runtime.console.sizes import parse_size
from dit4sr.runtime.errors import BadInputError

OPTIONS = (
    ARCH,
    click.Option(
        ["--device"],
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help=f"{NAME}: what for; auto takes the GPU if there is one.",
    ),
    PROFILES,
    click.Option(["--max-autotune"], is_flag=True, help=f"{NAME}: let torch try every kernel it has."),
)


def config_of(given: Given) -> InductorConfig:
    """The config that the typed options ask for."""
    profiles = given["profiles"]
    if len(profiles) > 1:
        raise BadInputError(f"{len(profiles)} profiles", expected=f"one for {NAME} engines")
    return InductorConfig(
        device=given["device"],
        architecture=single_architecture(given),
        picture=picture_of(profiles[0]) if profiles else None,
        max_autotune=given["max_autotune"],
        components=given["components"],
        verify=not given["no_verify"],
    )


def picture_of(profile: str) -> tuple[int, int]:
    """A profile's height and width: 512x768, or one number for a square."""
    try:
        return parse_size(profile)
    except ValueError:
        raise BadInputError(
            f"profile {profile!r}", expected=f"a size as 512x768 for {NAME} engines"
        ) from None
