"""``python -m dit4sr.bench.cluster.page``: what was measured of a job over a cluster, as a page says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dit4sr.bench.cluster.block import renewed
from dit4sr.bench.report.markdown import markdown_table
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.files.json_file import read_json
from dit4sr.runtime.files.reading import read_text

MARK = "measured"


def table(record: Any) -> list[str]:
    """The record as a table, and where it was measured."""
    equal, kills, scaling = record["equal"], record["kills"], record["scaling"]
    over, alone = record["resumed_over_the_cluster"], record["resumed_by_one_process"]
    rates = scaling["pictures_per_second"]
    rows = (
        (f"{equal['photos']} photos over two nodes", _held(equal)),
        ("the same, a worker killed with -9 and a node taken away", _held(kills)),
        ("the command killed, taken up over the cluster", _resumed(over)),
        ("the command killed, taken up by one process", _resumed(alone)),
        ("Ctrl-C", _ended(record["interrupted"])),
        ("SIGTERM", _ended(record["terminated"])),
        ("pictures a second, one worker", _rates(rates["one"])),
        ("pictures a second, two workers", _rates(rates["two"])),
        ("two workers to one, by medians", f"{scaling['ratio_of_medians']:.2f}×"),
        ("opening the bundle in a worker", f"{record['seconds']['opening']:.2f} s"),
        ("a picture in one process of one thread", f"{record['seconds']['picture']:.3f} s"),
    )
    machine = record["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in record["libraries"].items())
    return [
        *markdown_table(("", "came to"), rows),
        "",
        f"{machine['cpu']}, {machine['cores']:g} cores; {libraries}.",
    ]


def _held(found: Any) -> str:
    is_same = found["records_are_equal"] and found["pictures_are_equal"]
    return f"{found['records']} records, each once; " + ("all bytes equal" if is_same else "**not equal**")


def _resumed(found: Any) -> str:
    is_same = "all bytes equal" if found["pictures_are_equal"] else "**not equal**"
    return f"{found['pictures_before']} were there, {found['restored_after']} restored; {is_same}"


def _ended(found: Any) -> str:
    left = f"{found['left']} of {found['started']} processes left"
    return f"exit {found['exit_code']} after {found['seconds']:.1f} s, {left}"


def _rates(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.2f}" for rate in rates)


@click.command(name="python -m dit4sr.bench.cluster.page")
@click.argument("record", type=click.Path(path_type=Path))
@click.argument("page", type=click.Path(path_type=Path))
def command(record: Path, page: Path) -> None:
    """Write the table of RECORD into PAGE."""
    page.write_text(renewed(read_text(page), MARK, table(read_json(record))), encoding="utf-8")


if __name__ == "__main__":
    run_process(command)
