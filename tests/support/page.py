"""A page that is open for tests, in this process."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

from dit4sr.runtime.page.answers import Answers
from dit4sr.runtime.page.application import application
from dit4sr.runtime.page.limits import Limits
from dit4sr.runtime.page.opening import Opening
from dit4sr.runtime.page.server import Place, address_of, answering
from dit4sr.runtime.page.shelf import Shelf, opened_shelf

LIMITS = Limits(upload_bytes=1 << 20, pixels=1 << 22, queue=5)


@dataclass(frozen=True)
class OpenPage:
    """Where the page is, and what is behind it."""

    address: str
    shelf: Shelf
    answers: Answers


@contextmanager
def open_page(bundle: Path | None, *, threads: int = 1, **limits: Any) -> Iterator[OpenPage]:
    """A page with a bundle, or with the model in the box."""
    opening = Opening(bundle, "auto", "auto", threads, is_frugal=False, trusts_engines=False)
    asked, place = replace(LIMITS, **limits), Place("127.0.0.1", 0)
    with place.taken() as listener, opened_shelf(60) as shelf, opening.opened() as upscaler:
        answers = Answers(upscaler, opening, shelf, asked)
        with answering(application(answers, shelf, asked, place.names), listener):
            yield OpenPage(address_of(listener), shelf, answers)


@contextmanager
def network_refused() -> Iterator[list[object]]:
    """Let this process reach nobody but this machine; what it tried beyond is listed."""
    tried: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def refuse(host: object) -> None:
        if not _is_here(host):
            tried.append(host)
            raise OSError(f"{host} is not this machine")

    def connected(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            refuse(address[0])
        connect(self, address)

    def looked_up(host: Any, *rest: Any, **more: Any) -> Any:
        refuse(host)
        return look_up(host, *rest, **more)

    socket.socket.connect = connected  # type: ignore[method-assign]
    socket.getaddrinfo = looked_up
    try:
        yield tried
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.getaddrinfo = look_up


def _is_here(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def call_in(recipe: str, kind: str) -> str:
    """The call of a kind that the page shows."""
    [text] = re.findall(rf'<section class="{kind}">.*?<code>(.*?)</code>', recipe, re.DOTALL)
    return unescape(text)
