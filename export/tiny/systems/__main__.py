"""``python -m dit4sr.export.tiny.systems``: train systems of one size side by side."""

from __future__ import annotations

from pathlib import Path

import click

from dit4sr.export.tiny.systems import NAMES
from dit4sr.runtime.console.command import run_process

# torch takes seconds to import, and --help needs none of it.
# ruff: noqa: PLC0415


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--system", "names", type=click.Choice(NAMES), multiple=True, help="This one alone; all by default."
)
@click.option(
    "--recipe", type=click.Choice(["side-by-side", "trial"]), default="side-by-side", show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of torch.")
def command(output: Path, *, names: tuple[str, ...], recipe: str, seed: int, threads: int) -> None:
    """Train each system into OUTPUT: its log, its state, and OUTPUT/NAME, a checkpoint.

    A training that was stopped goes on when the same command is given again. All learn from the same pairs of
    pictures, in the same order.
    """
    import torch

    from dit4sr.export.tiny.recipe import RECIPES
    from dit4sr.export.tiny.systems.checkpoint import write_system
    from dit4sr.export.tiny.systems.train import train_system

    torch.set_num_threads(threads)
    for name in names or NAMES:
        system = train_system(name, RECIPES[recipe], output, seed=seed, say=_say)
        write_system(name, system, output / name)
        _say(f"{output / name} is written")


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    run_process(command)
