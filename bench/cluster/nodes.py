"""A real cluster of nodes on this machine, from which nodes can be taken away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dit4sr.bench.cluster.processes import descendants, title
from dit4sr.runtime.cluster.connection import OBJECT_STORE, SETTINGS
from dit4sr.runtime.console.requirements import require

WORKER = "ray::MapWorker"
"""How Ray names a process that holds one of our workers."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a cluster, each with a core for one worker of one thread."""

    cluster: Any

    @property
    def address(self) -> str:
        """What ``--ray`` is told."""
        return str(self.cluster.address)

    def add(self) -> Any:
        """One more node."""
        return self.cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE)

    def remove(self, node: Any) -> None:
        """Take a node away, as a machine goes that loses its power."""
        self.cluster.remove_node(node, allow_graceful=False)

    def workers(self) -> list[int]:
        """Processes that hold a worker."""
        started = [process.process.pid for node in self.cluster.list_all_nodes() for process in _all(node)]
        return [pid for parent in started for pid in descendants(parent) if title(pid).startswith(WORKER)]

    def kill_a_worker(self, patience: float = 60.0) -> int:
        """Kill a worker at once, as the system does where memory runs out; wait until there is one."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
                return pid
            time.sleep(0.05)
        raise TimeoutError("no worker to kill")


@contextmanager
def nodes_of_this_machine(count: int) -> Iterator[Nodes]:
    """A cluster of so many nodes, gone when the block is left."""
    require("ray", extra="ray")
    os.environ.update(SETTINGS)
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - it takes a second

    head = {"num_cpus": 1, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = Nodes(cluster)
        for _ in range(count - 1):
            nodes.add()
        cluster.wait_for_nodes()
        yield nodes
    finally:
        cluster.shutdown()


def _all(node: Any) -> list[Any]:
    return [process for processes in node.all_processes.values() for process in processes]
