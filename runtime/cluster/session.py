"""A job as the command runs it over a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dit4sr.runtime.batch.ledger import Ledger
from dit4sr.runtime.batch.session import Session
from dit4sr.runtime.cluster.connection import connected
from dit4sr.runtime.cluster.job import ClusterJob
from dit4sr.runtime.cluster.machines import Machine, needs_of_bundle
from dit4sr.runtime.cluster.progress import JobProgress
from dit4sr.runtime.cluster.summary import ClusterSummary
from dit4sr.runtime.cluster.worker import Work
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.console.progress import StatusLine
from dit4sr.runtime.console.version import version
from dit4sr.runtime.files.address import place_of
from dit4sr.runtime.files.reading import require_ordinary

OPENING = {"backend": "onnxruntime", "device": "cpu", "threads": 1}
"""How the bundle is opened here: to read what it says of itself, on a machine that may have no GPU."""


def check_session(output: str, inputs: Sequence[str], *, dry_run: bool) -> None:
    """Refuse what makes no sense over a cluster."""
    if dry_run:
        raise click.UsageError("--dry-run looks at this machine; leave out --ray")
    if PIPE in {output, *inputs}:
        raise click.UsageError("--ray restores files, and - is none; name files and a folder")


def run_on_cluster(
    address: str, session: Session, output: str, bundle: Path | None, opening: Mapping[str, Any]
) -> None:
    """Join a cluster, and take a job through it."""
    place = place_of(output)
    if any(item.target is None or item.target == place for item in session.items):
        raise click.UsageError("--ray writes into a folder; name one for --output")
    first = session.items[0].source
    if isinstance(first, Path) and not session.config.continue_on_error:
        require_ordinary(first)  # rather than after a cluster was joined for it
    with connected(address):
        line = StatusLine(is_wanted=session.progress == "auto")
        needs = needs_of_bundle(
            session.upscaler,
            session.config.settings,
            machines := Machine.all(),
            device=opening["device"],
            threads=opening["threads"],
        )
        device = opening["device"] if needs.gpus else "cpu"
        work = Work(
            job=os.urandom(8).hex(),
            bundle=None if bundle is None else bundle.absolute(),
            digest=session.upscaler.digest,
            opening={**opening, "device": device, "threads": needs.cpus},
            config=session.config,
            output=place,
            folder=Path.cwd(),
            version=version(),
        )

        def notice(line: str) -> None:
            click.echo(f"note: {line}", err=True)

        job = ClusterJob(session.items, work, needs, needs.workers(machines), Ledger(place), notice)
        progress = JobProgress(line, len(session.items))
        is_plain = session.progress == "plain" or line.is_shown
        session.tell(job.run(), progress, ClusterSummary(session.config.seed), is_plain=is_plain)
