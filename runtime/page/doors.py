"""The doors of a page's server: which requests come in, and what browsers are told about the answers.

Gradio's server can do more than this page needs: fetch addresses for a visitor, stand before other servers,
show traffic. What the page does not need stays shut, so that nothing is sent anywhere whoever asks for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = re.compile(
    r"/|/(assets|static)/[^:]*|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?"
    r"|/gradio_api/(info|queue/(join|data)|upload|upload_progress|startup-events|cancel|reset|theme\.css)/?"
    r"|/gradio_api/(heartbeat|call|run)/[^:]*"
    # A path on this disk; Gradio looks whether it is one of its own.
    r"|/gradio_api/file=(/|[A-Za-z]:[/\\])[^:]*",
)
"""The paths that the page and Gradio's own client ask for."""

ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]+:|//)", re.IGNORECASE)
"""Not of this disk. A drive of Windows has one letter."""

POLICY = "; ".join(
    [
        "default-src 'self'",
        # Gradio writes its configuration into the page, and makes functions of templates.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What browsers hold the page to: all it loads and all it asks comes from this server."""

HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Doors:
    """A server behind doors: an ASGI application around another."""

    def __init__(self, app: App, *, hosts: frozenset[str] | None, message_bytes: int) -> None:
        """``hosts`` are the names that the page answers to, all if there are none.

        A page for this machine alone has names of its own: one that leads here from elsewhere would lend the
        page to somebody else's.
        """
        self._app, self._hosts, self._message_bytes = app, hosts, message_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http" or not OPEN.fullmatch(scope["path"]):
            await _refuse(send, 404, "not here")
        elif self._hosts is not None and _host(scope) not in self._hosts:
            await _refuse(send, 403, "this page is for its own machine")
        elif scope["method"] == "POST" and not scope["path"].startswith("/gradio_api/upload"):
            await self._with_message(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    async def _with_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a message in once it is all there, if it is short and names no file of somewhere else."""
        content, more = b"", True
        while more:
            part = await receive()
            if part["type"] != "http.request":
                return
            content, more = content + part.get("body", b""), part.get("more_body", False)
            if len(content) > self._message_bytes:
                await _refuse(send, 413, f"a message has {self._message_bytes:,} bytes at most")
                return
        if _names_an_address(content):
            await _refuse(send, 403, "files are sent, not fetched")
            return
        is_read = False

        async def again() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": content, "more_body": False}

        await self._app(scope, again, _with_headers(send))


def _host(scope: Scope) -> str:
    """The name by which the server was asked, without its port."""
    name: str = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return re.sub(r":[0-9]*$", "", name).lower()


def _names_an_address(content: bytes) -> bool:
    """True if a message brings a file by an address, which Gradio would fetch."""

    def holds(value: Any) -> bool:
        if isinstance(value, dict):
            path = value.get("path")
            return (isinstance(path, str) and bool(ADDRESS.match(path))) or any(map(holds, value.values()))
        return isinstance(value, list) and any(map(holds, value))

    try:
        return holds(json.loads(content or b"null"))
    except (ValueError, RecursionError):
        return True


def _with_headers(send: Send) -> Send:
    """Tell browsers with every answer what to hold the page to."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [
                (name, value) for name, value in message["headers"] if name.decode().lower() not in HEADERS
            ]
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*own, *added]}
        await send(message)

    return sent


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})
