"""``dit4sr-export``: from checkpoint to bundle."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import click

from dit4sr.runtime.command import run_command
from dit4sr.runtime.errors import MissingDependencyError


def picture_size(text: str) -> tuple[int, int]:
    """Read "512x768", height by width; one number is a square."""
    match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a size; write 512x768 (height by width)")
    return int(match[1]), int(match[2] or match[1])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option("--describe", "describing", is_flag=True, help="Print parameters and products, export nothing.")
@click.option("--flavour", type=click.Choice(["copied", "own"]), help="LR-key rule; detected by default.")
@click.option(
    "--variant",
    type=click.Choice(["full", "a", "b", "c", "d", "d-channel"]),
    help="Architecture or ablation; full by default.",
)
@click.option("--untrained", is_flag=True, help="Open SD3.5 weights as a DiT4SR that is yet to be trained.")
@click.option(
    "--size",
    type=picture_size,
    default="512x512",
    show_default=True,
    metavar="HxW",
    help="Picture, in pixels.",
)
@click.option("--text-tokens", type=click.IntRange(1, 4096), default=333, show_default=True)
@click.option("--steps", type=click.IntRange(1, 1000), default=40, show_default=True)
@click.option("--guidance/--no-guidance", default=True, show_default=True, help="Two rows a step, or one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.version_option(package_name="dit4sr")
def command(
    checkpoint: Path | None,
    *,
    describing: bool,
    flavour: str | None,
    variant: str | None,
    untrained: bool,
    size: tuple[int, int],
    text_tokens: int,
    steps: int,
    guidance: bool,
    as_json: bool,
) -> None:
    """Describe a DiT4SR CHECKPOINT: a diffusers folder or a .safetensors file.

    Without CHECKPOINT, the published architecture is described at full size, without allocating it.
    Writing bundles is the next thing this command learns.
    """
    if not describing:
        raise click.UsageError("exporting is not built yet; --describe is what this version can do")
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"{' and '.join(missing)} not installed", fix="pip install 'dit4sr[export]'"
        )
    from dit4sr.export.describe import describe, format_description  # noqa: PLC0415  (torch takes seconds)
    from dit4sr.export.models.config import Flavour, Variant  # noqa: PLC0415

    description = describe(
        checkpoint,
        flavour=Flavour(flavour) if flavour else None,
        variant=Variant(variant) if variant else None,
        untrained=untrained,
        size=size,
        text_tokens=text_tokens,
        steps=steps,
        guidance=guidance,
    )
    click.echo(json.dumps(description.to_json(), indent=2) if as_json else format_description(description))


def main() -> None:
    """Entry point."""
    sys.exit(run_command(command))


if __name__ == "__main__":
    main()
