"""``python -m dit4sr.export.tiny.presets BUNDLE``: keep the presets of a bundle beside the trained weights.

``dit4sr-calibrate BUNDLE --schedule`` finds them on an export of the checkpoint; from there every later
export has them.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from dit4sr.export.sampling import DEFAULTS
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.weights.checkpoint import read_json
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.schema import to_json
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import write_whole


def keep_presets(bundle: Bundle, checkpoint: Path = CHECKPOINT) -> None:
    """Write a bundle's presets into its checkpoint's ``dit4sr.json``."""
    if not bundle.card.presets:
        raise BadInputError(f"{bundle.path} has no presets", fix="find them with dit4sr-calibrate --schedule")
    file = checkpoint / DEFAULTS
    values = {**read_json(file), "presets": to_json(bundle.card.presets)}
    write_whole(file, (json.dumps(values, indent=2) + "\n").encode(), replace=True)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
def command(bundle: Path) -> None:
    """Keep the presets of BUNDLE."""
    keep_presets(Bundle.open(bundle))


if __name__ == "__main__":
    run_process(command)
