"""``python -m dit4sr.export.tiny``: train dit4sr-tiny, from nothing to a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from dit4sr.runtime.console.command import run_process

# torch takes seconds to import, and --help needs none of it.
# ruff: noqa: PLC0415


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--recipe", type=click.Choice(["cpu", "gpu", "trial"]), default="cpu", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of torch, on the CPU.")
@click.option(
    "--steps", type=click.IntRange(1), default=2, show_default=True, help="Default of the checkpoint."
)
@click.option("--guidance", type=click.FloatRange(1), default=1.0, show_default=True, help="Likewise.")
@click.option("--evaluate", is_flag=True, help="Print how it does on the held-out photographs.")
@click.option("--ablate", is_flag=True, help="Print what each way of the LR stream brings.")
def command(
    output: Path,
    *,
    recipe: str,
    seed: int,
    device: str,
    threads: int,
    steps: int,
    guidance: float,
    evaluate: bool,
    ablate: bool,
) -> None:
    """Train dit4sr-tiny into OUTPUT: its log, its state, and OUTPUT/checkpoint.

    A training that was stopped goes on when the same command is given again.
    """
    import torch

    from dit4sr.export.tiny.ablation import ablate as ablations_of
    from dit4sr.export.tiny.data.held_out import held_out_pairs
    from dit4sr.export.tiny.evaluation import evaluate as scores_of
    from dit4sr.export.tiny.evaluation import format_scores
    from dit4sr.export.tiny.recipe import RECIPES
    from dit4sr.export.tiny.system import read_checkpoint, write_checkpoint
    from dit4sr.export.tiny.train import train

    torch.set_num_threads(threads)
    system = train(RECIPES[recipe], output, seed=seed, device=device, say=_say)
    write_checkpoint(system, output / "checkpoint", steps=steps, guidance=guidance)
    _say(f"{output / 'checkpoint'} is written")
    written = read_checkpoint(output / "checkpoint")
    if evaluate:
        click.echo(format_scores(scores_of(written, held_out_pairs())))
    if ablate:
        scores = ablations_of(written, held_out_pairs(), steps=steps, guidance=guidance)
        click.echo(format_scores(scores))


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    run_process(command)
