"""Chromium without a window, driven through its DevTools pipe: real keys, a real pointer, dropped files."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
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
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""A flag with which the browser finds nobody but this machine."""

PHONE = 390
"""Width of a phone's screen."""


class Pipe:
    """The way to the browser, which all its pages share."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._buffer, self._count = b"", 0
        self.pages: dict[str, Page] = {}

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what comes before that is for the pages to hear."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self.message()).get("id") != self._count:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def message(self) -> dict[str, Any]:
        """The next message of the browser."""
        while b"\0" not in self._buffer:
            piece = self._answers.read1(1 << 16)
            assert piece, "Chromium has ended"
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        if page := self.pages.get(message.get("sessionId", "")):
            page.hear(message)
        return message


class Page:
    """An open page, and what the browser had to say about it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._session, self._target, self._is_loaded = pipe, "", "", False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        """The address of everything that the page asked for."""

    def open(self, page: Path, *, width: int, height: int = 900, has_scripts: bool = True) -> None:
        """Show a file in a screen of this size, and wait until it is all there."""
        self.visit(page.as_uri(), width=width, height=height, has_scripts=has_scripts)

    def visit(
        self, address: str, *, width: int, height: int = 900, has_scripts: bool = True, scheme: str = "light"
    ) -> None:
        """Show what is at an address in a screen of this size, and wait until it is all there."""
        self._target = self._pipe.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._pipe.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        self._pipe.pages[self._session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not has_scripts)
        assert "errorText" not in self.call("Page.navigate", url=address)
        while not self._is_loaded:
            self._pipe.message()
        self.evaluate("Promise.all([...document.images].map(image => image.decode())).then(() => 1)")

    def another(self) -> Page:
        """A second page of the same browser."""
        return Page(self._pipe)

    def close(self) -> None:
        """Leave the page."""
        self._pipe.call("Target.closeTarget", targetId=self._target)

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of this size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width <= PHONE,
        )

    def evaluate(self, script: str) -> Any:
        """The value of a script in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 20) -> None:
        """Wait until a script in the page has a value that counts as true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < deadline, f"not within {seconds} s: {script}"
            time.sleep(0.05)

    def wait_for_quiet(self, seconds: float = 0.3) -> None:
        """Wait until the page has asked for nothing more for so long: then it has all its parts."""
        asked, since = -1, 0.0
        while asked != len(self.requests) or time.monotonic() - since < seconds:
            if asked != len(self.requests):
                asked, since = len(self.requests), time.monotonic()
            time.sleep(0.05)
            self.evaluate("1")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, by its name and its virtual code."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def point(self, kind: str, x: float, y: float) -> None:
        """Have the pointer ``Pressed``, ``Moved`` with its button held, or ``Released`` at a place."""
        held = {"button": "left", "buttons": int(kind != "Released"), "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **held)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the pointer."""
        left, top, width, height = self.place_of(selector)
        for kind in ("Pressed", "Released"):
            self.point(kind, left + width / 2, top + height / 2)

    def drop(self, file: Path, selector: str) -> None:
        """Drag a file from elsewhere onto an element and let it go."""
        left, top, width, height = self.place_of(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=left + width / 2, y=top + height / 2, data=data)

    def place_of(self, selector: str) -> list[float]:
        """Left, top, width and height of an element, once it has been scrolled to."""
        return self.evaluate(
            f"(each => {{ each.scrollIntoView({{ block: 'center', behavior: 'instant' }});"
            "const { left, top, width, height } = each.getBoundingClientRect();"
            f"return [left, top, width, height]; }})(document.querySelector({json.dumps(selector)}))"
        )

    def download_into(self, folder: Path) -> None:
        """Have what is downloaded put into a folder."""
        self._pipe.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def picture(self, *, quality: int | None = None) -> bytes:
        """The whole page as a PNG, or as a JPEG of some quality."""
        kind = {"format": "png"} if quality is None else {"format": "jpeg", "quality": quality}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip, **kind)
        return base64.b64decode(shot["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to the page and return its answer."""
        return self._pipe.call(method, self._session, **parameters)

    def hear(self, message: dict[str, Any]) -> None:
        """Remember what the browser says of the page."""
        match message.get("method"):
            case "Log.entryAdded" | "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message))
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Page.loadEventFired":
                self._is_loaded = True


@contextmanager
def browser(*flags: str) -> Iterator[Page]:
    """A browser that is gone in the end. Needs Chromium on the PATH, and fails without it."""
    (commands_out, commands_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    words = [
        "bash",
        "-c",
        f'exec chromium "$@" 3<&{commands_out} 4>&{answers_in}',
        "chromium",
        *FLAGS,
        *flags,
    ]
    process = subprocess.Popen(words, pass_fds=(commands_out, answers_in), stderr=subprocess.DEVNULL)
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(Pipe(commands_in, answers_out))
    finally:
        process.terminate()
        process.wait(timeout=30)
