"""What SD3-ControlNet adds to the command line of ``dit4sr-export``: what no tensor tells."""

from __future__ import annotations

import click

from dit4sr.runtime.console.options import NumberType

OPTIONS = (
    click.Option(
        ["--residual-rule"],
        type=click.Choice(["float", "integer"]),
        help="Which residual a block gets: as diffusers since 0.32, or before; float by default.",
    ),
    click.Option(
        ["--control-pooled"],
        type=click.Choice(["zero", "text"]),
        help="Pooled text that the control net sees; as its config.json says by default.",
    ),
    click.Option(
        ["--control-shift"],
        type=click.Choice(["zero", "vae"]),
        help="Shift of the condition's latent; as the control net's config.json says by default.",
    ),
    click.Option(
        ["--control-scale"], type=NumberType(1e-3, 100), help="Weight of the residuals; 1 by default."
    ),
    click.Option(
        ["--control-start"],
        type=NumberType(0, 1),
        help="Share of the steps before the control net is heard.",
    ),
    click.Option(["--control-end"], type=NumberType(0, 1), help="Share of the steps after which it is not."),
    click.Option(
        ["--extra-channels"],
        type=click.IntRange(0, 256),
        help="Extra channels of the condition; told by the weights where there are any.",
    ),
)

STATED = (
    "residual_rule",
    "control_pooled",
    "control_shift",
    "control_scale",
    "control_start",
    "control_end",
)
"""Options that are fields of the config under their own names."""
