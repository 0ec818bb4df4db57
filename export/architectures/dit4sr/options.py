"""What DiT4SR adds to the command line of ``dit4sr-export``."""

from __future__ import annotations

import click

OPTIONS = (
    click.Option(
        ["--flavour"],
        type=click.Choice(["copied", "own"]),
        help="LR-key rule of the checkpoint; detected by default.",
    ),
    click.Option(
        ["--variant"],
        type=click.Choice(["full", "a", "b", "c", "d", "d-channel"]),
        help="Architecture or ablation; full by default.",
    ),
    click.Option(
        ["--untrained"],
        is_flag=True,
        help="Open SD3.5 weights as a DiT4SR that is yet to be trained.",
    ),
)
