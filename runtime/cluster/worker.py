"""A worker: a process somewhere in the cluster that opens the bundle once and restores what it is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.batch.job import Job, JobConfig
from dit4sr.runtime.batch.pieces import Pieces
from dit4sr.runtime.cluster.rows import ENDS, Answer, Order
from dit4sr.runtime.cluster.shared_ledger import SharedLedger
from dit4sr.runtime.console.version import version
from dit4sr.runtime.errors import (
    BadInputError,
    Dit4srError,
    IncompatibleError,
    IntegrityError,
    in_one_line,
    known_failure,
)
from dit4sr.runtime.files.address import Place
from dit4sr.runtime.upscaler import Upscaler

TRIES = 10
"""Times that a picture is begun where a worker was lost: machines go, but some pictures kill."""


@dataclass(frozen=True)
class Work:
    """What every worker of a job is told."""

    job: str
    """A name of its own for each run of the command."""
    bundle: Path | None
    """None for the model in the box, which every machine has its own copy of."""
    digest: str
    opening: Mapping[str, Any]
    """How the bundle is opened."""
    config: JobConfig
    output: Place
    folder: Path
    """That of the command, from which names of files are meant."""
    version: str

    def begin(self) -> Upscaler:
        """Open the bundle, if this machine has the same as the one that asks, and its outputs are shared."""
        if version() != self.version:
            raise IncompatibleError(f"this machine has dit4sr {version()}", expected=self.version)
        if self.bundle is not None and not self.bundle.exists():
            raise BadInputError(f"no bundle at {self.bundle}", fix="put it where all machines find it")
        if not Pieces(self.output).are_shared(self.job):
            raise BadInputError(
                f"{self.output} is not shared with this machine", fix="name a shared folder, or s3://…"
            )
        upscaler = Upscaler(self.bundle, **self.opening)
        if upscaler.digest != self.digest:
            raise IntegrityError(f"another bundle at {upscaler.bundle.path}", expected="that of the command")
        return upscaler


class Worker:
    """Restores pictures, one a call; an error is an answer, never an exception, which Ray would repeat."""

    def __init__(self, work: Work) -> None:
        with suppress(OSError):  # where names are addresses or begin at the root, nobody needs it
            os.chdir(work.folder)
        self._work, self._ledger = work, SharedLedger(work.output, work.job)
        self._is_restarted = was_restarted()
        self._fault: Dit4srError | None = None
        try:
            self._job = Job(work.begin(), (), work.config, self._ledger)
        except Exception as error:
            self._fault = _typed(error, "a worker could not begin")

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Take a batch of orders, and answer each."""
        return {"answer": [self._answer(Order.of(str(text))).to_json() for text in batch["order"]]}

    def _answer(self, order: Order) -> Answer:
        name = order.item.name
        if self._fault is not None:
            return _ending(name, self._fault, f"{socket.gethostname()}: ")
        self._ledger.begin(order.earlier)
        try:
            if self._is_restarted and self._ledger.tries(name) > TRIES:
                return self._given_up(name)
            record = self._job.outcome(order.item)
        except Exception as error:
            return _ending(name, _typed(error, name))
        notices = tuple(self._job.upscaler.notices)
        return Answer(name, record.status, record.details, self._ledger.entry, notices)

    def _given_up(self, name: str) -> Answer:
        """What becomes of a picture that takes every worker with it."""
        fault = Dit4srError(f"{name}: its worker was lost {TRIES} times", fix="try it alone, without --ray")
        if not self._work.config.continue_on_error:
            return _ending(name, fault)
        return Answer(name, "failed", {"error": str(fault), "exit_code": fault.exit_code})


def was_restarted() -> bool:
    """True in the place of a worker that was lost."""
    import ray  # noqa: PLC0415 - it is there in a worker

    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def _typed(error: Exception, about: str) -> Dit4srError:
    """An error with its line and exit code, whatever it is."""
    return known_failure(error) or fault_of_picture(error, about) or Dit4srError(in_one_line(error))


def _ending(name: str, fault: Dit4srError, where: str = "") -> Answer:
    return Answer(name, ENDS, {"error": f"{where}{fault}", "exit_code": fault.exit_code})
