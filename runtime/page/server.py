"""The server of a page: where it listens, and how it ends."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.page.answers import Answers
from dit4sr.runtime.page.application import application
from dit4sr.runtime.page.limits import Limits
from dit4sr.runtime.page.opening import Opening
from dit4sr.runtime.page.shelf import opened_shelf

if TYPE_CHECKING:
    from dit4sr.runtime.page.doors import Doors

PATIENCE = 2
"""Seconds that visitors have to take what is under way, when the server ends."""


@dataclass(frozen=True)
class Place:
    """Where a page listens."""

    host: str
    port: int

    @property
    def is_private(self) -> bool:
        """True if only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> frozenset[str] | None:
        """What browsers may call it; anything, if it is for others too."""
        return frozenset({"127.0.0.1", "localhost", "[::1]"}) if self.is_private else None

    @contextmanager
    def taken(self) -> Iterator[socket.socket]:
        """Listen there; nobody is answered yet."""
        try:
            [(family, _, _, _, address), *_] = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            listener = socket.create_server(address[:2], family=family)
        except OSError as error:
            raise self._refusal(error) from None
        with listener:
            yield listener

    def _refusal(self, error: OSError) -> BadInputError:
        if error.errno == errno.EADDRINUSE:
            return BadInputError(
                f"port {self.port} of {self.host} is taken",
                fix="choose another --port; 0 takes any that is free",
            )
        return BadInputError(
            f"no page at {self.host}, port {self.port} ({error.strerror})",
            fix="choose another --host or --port",
        )


def serve(opening: Opening, limits: Limits, place: Place, *, opens: bool) -> None:
    """Show the page until somebody ends it."""
    with place.taken() as listener, opened_shelf(limits.seconds_kept) as shelf, opening.opened() as upscaler:
        answers = Answers(upscaler, opening, shelf, limits)
        app = application(answers, shelf, limits, place.names)
        for notice in upscaler.notices:
            click.echo(f"note: {notice}", err=True)
        if not place.is_private:
            click.echo(
                f"warning: whoever can reach {place.host} can use this page: it has no password", err=True
            )
        with answering(app, listener) as server:
            address = address_of(listener)
            click.echo(address)
            click.echo(f"{upscaler.card.name} on {upscaler.backend}; Ctrl-C ends the page", err=True)
            if opens:
                webbrowser.open(address)
            try:
                # A join without end would hold back what a signal raises.
                while server.is_alive():
                    server.join(1)
            finally:
                answers.visitors.stop_all()


@contextmanager
def answering(app: Doors, listener: socket.socket) -> Iterator[threading.Thread]:
    """Answer in a thread of its own, from the moment the block begins until it ends."""
    import uvicorn  # noqa: PLC0415 - it comes with Gradio

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=PATIENCE,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise MissingDependencyError("Gradio's server does not start", fix="pip install -U gradio")
            time.sleep(0.01)
        yield thread
    finally:
        server.should_exit = True
        thread.join(2 * PATIENCE)


def address_of(listener: socket.socket) -> str:
    """What to type into a browser."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
