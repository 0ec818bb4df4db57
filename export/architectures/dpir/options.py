"""What DPIR adds to the command line of ``dit4sr-export``: choices of ours that no tensor tells."""

from __future__ import annotations

import click

from dit4sr.runtime.console.options import NumberType

OPTIONS = (
    click.Option(
        ["--statistics"],
        type=click.Choice(["picture", "channel", "token"]),
        help="What shares a mean and a spread in the alignment; as its config.json says, or picture.",
    ),
    click.Option(
        ["--lq-scale"],
        type=NumberType(1e-3, 1e3),
        help="Weight of the LQ branch; as its config.json says, or 1.",
    ),
    click.Option(
        ["--global-reach"],
        type=NumberType(1, 64),
        help="Side of the global crop in tiles; as its config.json says, or 2.",
    ),
    click.Option(
        ["--image-layer"],
        type=click.IntRange(-256, -1),
        help="Hidden states of the image encoder, from the last; as its config.json says, or -2.",
    ),
)

STATED = ("statistics", "lq_scale", "global_reach", "image_layer")
"""Options that are fields of the config under their own names."""
