"""``python -m dit4sr.bench.cluster``: a job over a real cluster of two nodes, measured beside one process."""

from __future__ import annotations

import json
import signal
import statistics
import tempfile
from pathlib import Path

import click

from dit4sr.bench.cluster.nodes import nodes_of_this_machine
from dit4sr.bench.cluster.trials import Trials, opening_seconds
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.machine.host import processor_name, usable_cores
from dit4sr.runtime.machine.libraries import installed_versions


@click.command(name="python -m dit4sr.bench.cluster")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--photos", type=int, default=200, show_default=True, help="Of a job.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Turns of one worker and of two.")
def command(output: Path, photos: int, rounds: int) -> None:
    """Restore the same photos by one process and over a cluster, disturb it, and write a record to OUTPUT."""
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), photos)
        rates: dict[str, list[float]] = {"one": [], "two": []}
        with nodes_of_this_machine(2) as nodes:
            equal = trials.equal(nodes)
            kills = trials.with_kills(nodes)
            resumed = trials.resumed(nodes)
            resumed_alone = trials.resumed(nodes, "--threads", "1")
        for turn in range(rounds):
            for count, name in enumerate(rates, 1):
                with nodes_of_this_machine(count) as nodes:
                    rates[name].append(trials.rate(nodes, f"rate-{name}-{turn}"))
        medians = {name: statistics.median(found) for name, found in rates.items()}
        record = {
            "machine": {"cpu": processor_name(), "cores": usable_cores()},
            "libraries": installed_versions(["ray", "onnxruntime"]),
            "bundle": "dit4sr-tiny",
            "steps": 1,
            "equal": equal,
            "kills": kills,
            "resumed_over_the_cluster": resumed,
            "resumed_by_one_process": resumed_alone,
            "interrupted": trials.interrupted("local"),
            "terminated": trials.interrupted("local", by=signal.SIGTERM),
            "scaling": {
                "pictures_per_second": {name: [round(r, 3) for r in found] for name, found in rates.items()},
                "ratio_of_medians": round(medians["two"] / medians["one"], 3),
            },
            "seconds": opening_seconds(None, trials.photos),
        }
    text = json.dumps(record, indent=2)
    output.write_text(text + "\n", encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    run_process(command)
