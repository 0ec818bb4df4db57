"""The way to a cluster: one that is there, or one of this machine's cores that ends with the command."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dit4sr.runtime.cluster.quiet import rays_lines_apart, silence_ray_data
from dit4sr.runtime.console.requirements import require
from dit4sr.runtime.console.signals import EXIT_CODES
from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.interruption import LEFTOVERS
from dit4sr.runtime.machine.host import usable_cores

LOCAL = "local"
"""The address of a cluster that is started for the command, and ends with it."""
OBJECT_STORE = 128 << 20
"""Bytes of shared memory of such a cluster: what passes through it are names and records."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
"""What Ray reads from the environment: it reports nothing home, and leaves standard error to us."""

PATIENCE = 5.0
"""Seconds in which a cluster has to answer."""
_LONGEST_REASON = 300


@contextmanager
def connected(address: str) -> Iterator[str]:
    """Be part of a cluster while the block lasts; yields where it was found.

    Without an address it is that of ``RAY_ADDRESS``, or a cluster of this machine's cores.
    """
    require("ray", "pyarrow", "pandas", extra="ray")
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    place = address or os.environ.get("RAY_ADDRESS") or LOCAL
    _check(place)
    with rays_lines_apart():
        import ray.data  # noqa: PLC0415 - it takes a second

        silence_ray_data()
        with LEFTOVERS.removed_by(ray.shutdown):
            with _our_own_signals():
                _join(place)
            yield place


def _check(place: str) -> None:
    """Refuse an address where nobody answers: Ray would ask for minutes."""
    if place.startswith("ray://"):
        raise BadInputError(
            f"{place}: Ray Data does not run through Ray's client",
            fix="run the command on a machine of the cluster with --ray auto, as `ray job submit` does",
        )
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(place, error) from None


def _join(place: str) -> None:
    import ray  # noqa: PLC0415 - as above

    ours: dict[str, Any] = {}
    if place == LOCAL:
        cores = max(int(usable_cores()), 1)
        ours = {"num_cpus": cores, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(address=place, log_to_driver=False, logging_level=logging.CRITICAL, **ours)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(place, error) from None


def _unreachable(place: str, error: Exception) -> MissingDependencyError:
    reason = " ".join(str(error).split())[:_LONGEST_REASON]
    return MissingDependencyError(
        f"no Ray cluster could be joined at {place} ({reason})",
        fix="start one with `ray start --head`, or leave out the address",
    )


@contextmanager
def _our_own_signals() -> Iterator[None]:
    """Keep the handlers of signals as they are: Ray puts its own in their place, which know no exit codes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(TypeError, ValueError):  # a handler that is not Python's own
                signal.signal(number, handler)
