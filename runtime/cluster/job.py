"""A job whose pictures are restored by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import Record, refuse_existing
from dit4sr.runtime.batch.ledger import Ledger
from dit4sr.runtime.cluster.machines import Needs
from dit4sr.runtime.cluster.rows import ENDS, Answer, Order
from dit4sr.runtime.cluster.worker import Work, Worker
from dit4sr.runtime.errors import Dit4srError, in_one_line

MOST_TASKS = 10_000
"""Tasks of a job: one a picture, or a few pictures each, for Ray's head keeps an account of every task."""
AHEAD = 2
"""Tasks that a worker has: one in work, and one that is there when that is done."""


@dataclass(frozen=True)
class ClusterJob:
    """Restores the pictures of a list, each on the worker that is free; records come as they are done."""

    items: Sequence[Item]
    work: Work
    needs: Needs
    workers: int
    """As many as there is room for; more come where the cluster grows."""
    ledger: Ledger
    notice: Callable[[str], None] = lambda _: None
    """Is told what workers have to say of their backends, each thing once."""

    def run(self) -> Iterator[Record]:
        """Yield a record for each picture, once, however often it was begun."""
        refuse_existing(self.items, self.work.config)
        self.ledger.fold()
        self.ledger.pieces.begin(self.work.job)
        try:
            yield from self._records()
        except BaseException:
            self.ledger.pieces.leave(self.work.job)
            raise
        self.ledger.finish()

    def _records(self) -> Iterator[Record]:
        waiting = {item.name: item for item in self.items}
        noticed: set[str] = set()
        for answer in self._answers():
            if answer.status == ENDS:
                raise _error(answer.details["error"], answer.details["exit_code"])
            item = waiting.pop(answer.name, None)
            if item is None:
                continue
            if answer.entry is not None:
                self.ledger.add(answer.entry)
            for notice in sorted(set(answer.notices) - noticed):
                self.notice(notice)
            noticed.update(answer.notices)
            yield Record(item, answer.status, answer.details)
        if waiting:
            raise Dit4srError(f"{len(waiting)} pictures did not come back", fix="go on with --resume")

    def _answers(self) -> Iterator[Answer]:
        import ray  # noqa: PLC0415 - it takes a second

        try:
            with closing(self._batches()) as batches:
                for batch in batches:
                    yield from (Answer.of(str(text)) for text in batch["answer"])
        except ray.exceptions.RayError as error:
            raise Dit4srError(
                f"the cluster gave up ({in_one_line(error.__cause__ or error)[:300]})",
                fix="go on with --resume",
            ) from None

    def _batches(self) -> Generator[Any, None, None]:
        """Send all pictures through Ray Data, and yield what comes back as it comes."""
        import ray  # noqa: PLC0415 - it takes a second

        ray.data.DataContext.get_current().enable_progress_bars = False
        orders = [{"order": Order(item, self.ledger.entry(item.name)).to_json()} for item in self.items]
        answers = ray.data.from_items(orders, override_num_blocks=min(len(orders), MOST_TASKS)).map_batches(
            Worker,
            fn_constructor_args=(self.work,),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                initial_size=self._begin_with,
                max_size=max(len(orders), 1),
                max_tasks_in_flight_per_actor=AHEAD,
            ),
            **self.needs.options(),
        )
        yield from answers.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy")

    @property
    def _begin_with(self) -> int:
        return max(min(self.workers, len(self.items)), 1)


def _error(line: str, exit_code: int) -> Dit4srError:
    """An error that a worker met, with its exit code."""
    kinds = {kind.exit_code: kind for kind in Dit4srError.__subclasses__()}
    return kinds.get(exit_code, Dit4srError)(line)
