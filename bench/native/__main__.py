"""``python -m dit4sr.bench.native``: measures the C interface beside Python's, with the model in the box."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from dit4sr.bench.native.comparison import Work, compiled, first_picture, overhead, throughput
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.machine.host import processor_name, usable_cores

SIDE = 64
MANY_THREADS, OF_EACH, TURNS = 8, 50, 2
"""More callers than cores: what a service has."""


@click.command(name="python -m dit4sr.bench.native")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--threads", type=int, default=2, show_default=True, help="Of either program.")
@click.option("--requests", type=int, default=20, show_default=True, help="Of each thread.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Turns of either program.")
def command(output: Path, threads: int, requests: int, rounds: int) -> None:
    """Compile the C++ program, compare it with Python's in turns, and write a JSON record to OUTPUT."""
    bundle = tiny_bundle()
    with tempfile.TemporaryDirectory() as folder:
        program, library = compiled(Path(folder))
        record = {
            "machine": {"cpu": processor_name(), "cores": usable_cores()},
            "bundle": "dit4sr-tiny",
            "throughput": throughput(program, Work(bundle, threads, requests, SIDE, SIDE), rounds),
            "throughput_of_many": throughput(program, Work(bundle, MANY_THREADS, OF_EACH, SIDE, SIDE), TURNS),
            "first_picture": first_picture(program, bundle, rounds, (SIDE, SIDE)),
            "overhead": overhead(library, bundle, (SIDE, SIDE), 5 * rounds),
        }
    text = json.dumps(record, indent=2)
    output.write_text(text + "\n")
    click.echo(text)


if __name__ == "__main__":
    run_process(command)
