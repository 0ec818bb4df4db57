"""Chromium without a window, driven through its DevTools pipe: real keys and a real pointer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
]
PHONE = 390
"""Width of a phone's screen."""


class Page:
    """An open page, and what the browser had to say about it."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._buffer, self._count, self._session = b"", 0, ""
        self.complaints: list[str] = []

    def open(self, page: Path, *, width: int, height: int = 900, has_scripts: bool = True) -> None:
        """Show a file in a screen of this size, and wait until it is all there."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width <= PHONE,
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not has_scripts)
        assert "errorText" not in self.call("Page.navigate", url=page.as_uri())
        while self._message().get("method") != "Page.loadEventFired":
            pass
        self.evaluate("Promise.all([...document.images].map(image => image.decode())).then(() => 1)")

    def evaluate(self, script: str) -> Any:
        """The value of a script in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, by its name and its virtual code."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def point(self, kind: str, x: float, y: float) -> None:
        """Have the pointer ``Pressed``, ``Moved`` with its button held, or ``Released`` at a place."""
        held = {"button": "left", "buttons": int(kind != "Released"), "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **held)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._message()).get("id") != self._count:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = self._answers.read1(1 << 16)
            assert piece, "Chromium has ended"
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        if message.get("method") in {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}:
            self.complaints.append(text.decode())
        return message


@contextmanager
def browser() -> Iterator[Page]:
    """A browser that is gone in the end. Needs Chromium on the PATH, and fails without it."""
    (commands_out, commands_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    words = ["bash", "-c", f'exec chromium "$@" 3<&{commands_out} 4>&{answers_in}', "chromium", *FLAGS]
    process = subprocess.Popen(words, pass_fds=(commands_out, answers_in), stderr=subprocess.DEVNULL)
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(commands_in, answers_out)
    finally:
        process.terminate()
        process.wait(timeout=30)
