"""``dit4sr``, or ``python -m dit4sr``: what belongs to all commands."""

from __future__ import annotations

import click

from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.doctor.cli import command as doctor
from dit4sr.runtime.page.cli import command as page


@click.group(
    name="dit4sr",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    epilog="To restore photos: dit4sr-upscale. To make, quantise and measure bundles: dit4sr-export, "
    "dit4sr-calibrate, dit4sr-bench.",
)
@click.version_option(package_name="dit4sr")
def command() -> None:
    """Restore and enlarge real-world photos with DiT4SR, without PyTorch."""


command.add_command(doctor)
command.add_command(page)


def main() -> None:
    """Entry point of the console script."""
    run_process(command)


if __name__ == "__main__":
    main()
