"""``python -m dit4sr.bench.plans.trial``: what the compiler makes of a few blocks, to try a graph's form by.

A few blocks of full width say within a minute what a change to the graph is worth: change the code, run this
again, compare. What they say holds for the whole network but for its few layers at either end.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dit4sr.bench.plans.cards import Card, cards_named
from dit4sr.bench.plans.compiled import CompiledPlan, compiled_plans
from dit4sr.bench.plans.prediction import FACTORS, predicted_seconds
from dit4sr.calibrate.graph.untried import untried_bundle
from dit4sr.calibrate.scales.formats import FP8
from dit4sr.export import architectures
from dit4sr.export.engines.account.layer import Layer
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import random_pipeline
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.table import format_bytes, format_table

STEP = "step"


def trial(
    changes: Mapping[str, Any], *, architecture: str, precision: str, as_fp8: bool = False, seed: int = 0
) -> CompiledPlan:
    """Export the step of a network with ``changes`` to the published config, and compile it."""
    chosen = architectures.named(architecture)
    network = chosen.random({**chosen.published({}), **changes}, seed)
    pipeline = random_pipeline(architecture, network, seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        config = ExportConfig(folder, precision=precision, verify=False, components=(STEP,))
        export_bundle(pipeline, config)
        bundle = Bundle.open(folder)
        bundle = untried_bundle(bundle, Path(scratch) / "fp8", FP8) if as_fp8 else bundle
        [plan] = compiled_plans(bundle, lambda _: None)
    return plan


def format_trial(plan: CompiledPlan, card: Card, most: int) -> str:
    """Kernels and bytes by kind, the largest kernels that multiply nothing, and a predicted step."""
    account = plan.account
    kinds = [
        [kind, str(account.kernels[kind]), f"{account.bytes.get(kind, 0) / 1e9:.3f} GB"]
        for kind in sorted(account.kernels, key=lambda kind: -account.bytes.get(kind, 0))
    ]
    total = ["in all", str(sum(account.kernels.values())), f"{sum(account.bytes.values()) / 1e9:.3f} GB"]
    movers = [layer for layer in plan.layers if layer.is_kernel and not layer.flops]
    largest = sorted(movers, key=lambda layer: -layer.bytes)[:most]
    return "\n\n".join(
        [
            format_table(["kernels", "count", "moved"], [*kinds, total]),
            f"attentions fused: {account.fused_attentions} of {account.attentions}",
            *(
                [format_table(["kernel", "moved", "from"], [_row(layer) for layer in largest])]
                if most
                else []
            ),
            f"{card.name}: {1e3 * predicted_seconds(plan.layers, card):.3f} ms a step, {FACTORS}",
        ]
    )


def _row(layer: Layer) -> list[str]:
    return [layer.name[-60:], format_bytes(layer.bytes), " ".join(layer.nodes[-2:])[-60:]]


def _changes(_context: click.Context, _option: click.Parameter, pairs: Sequence[str]) -> dict[str, Any]:
    changes = {}
    for pair in pairs:
        key, is_pair, value = pair.partition("=")
        if not is_pair:
            raise click.BadParameter(f"{pair!r} is not FIELD=VALUE")
        try:
            changes[key] = json.loads(value)
        except json.JSONDecodeError:
            changes[key] = value
    return changes


@click.command(help=__doc__)
@click.option(
    "--with",
    "changes",
    multiple=True,
    default=("num_layers=4", "dual_attention_layers=[0, 1]"),
    callback=_changes,
    help="A field of the published config and its value. May be repeated.",
    show_default=True,
)
@click.option("--architecture", default=architectures.DEFAULT, show_default=True)
@click.option("--precision", type=click.Choice(("fp16", "bf16")), default="fp16", show_default=True)
@click.option("--as-fp8", is_flag=True, help="In FP8, with scales that stand in.")
@click.option("--card", default="A100-80", show_default=True, help="The card to predict a step for.")
@click.option("--most", default=12, show_default=True, help="How many of the largest kernels to list.")
def trial_command(card: str, most: int, **options: Any) -> None:
    """Compile a few blocks and print what the compiler made of them."""
    [named] = cards_named([card])
    click.echo(format_trial(trial(**options), named, most))


def main() -> None:
    """Run the command."""
    run_process(trial_command)


if __name__ == "__main__":
    main()
