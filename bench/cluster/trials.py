"""What a job over a cluster is put through, and what it came to beside one process."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dit4sr.bench.cluster.command import Command, by_name, pictures
from dit4sr.bench.cluster.nodes import Nodes
from dit4sr.bench.cluster.processes import descendants, is_there
from dit4sr.runtime.upscaler import Upscaler

SIDES = (32, 48)
"""Of the photos, in pixels: small, for it is the job that is tried, not the network."""


@dataclass(frozen=True)
class Trials:
    """The same photos, by one process and over a cluster."""

    folder: Path
    """An empty folder, for everything."""
    count: int
    """Photos of a job."""
    bundle: Path | None = None
    """None is the model in the box."""

    def equal(self, nodes: Nodes) -> dict[str, Any]:
        """The whole job over a cluster, undisturbed."""
        start = time.monotonic()
        with self.command("equal", "--ray", nodes.address) as command:
            code = command.finish()
        seconds = time.monotonic() - start
        return {**self._held(command, "equal", code), "seconds": round(seconds, 2)}

    def with_kills(self, nodes: Nodes) -> dict[str, Any]:
        """A worker killed after a tenth of the job, and a node taken away after a third."""
        node = nodes.add()
        kills: dict[int, Callable[[], object]] = {
            self.count // 10: nodes.kill_a_worker,
            self.count // 3: lambda: nodes.remove(node),
        }
        with self.command("kills", "--ray", nodes.address) as command:
            for _ in command.coming():
                if act := kills.pop(len(command.records), None):
                    act()
            code = command.process.wait()
        return {**self._held(command, "kills", code), "not_done": len(kills)}

    def resumed(self, nodes: Nodes, *way: str) -> dict[str, Any]:
        """The command killed after a third of the job, and the job taken up, over the cluster or without."""
        name = "resumed" + "".join(way)
        with self.command(name, "--ray", nodes.address) as killed:
            for _ in killed.coming():
                if len(killed.records) >= self.count // 3:
                    killed.process.send_signal(signal.SIGKILL)
                    break
            killed.process.wait()
        before = len(pictures(self.folder / name))
        with self.command(name, "--resume", *(way or ("--ray", nodes.address))) as command:
            code = command.finish()
        done = {record["output"] for record in command.records if record["status"] == "done"}
        return {
            "exit_code": code,
            "records_before": len(killed.records),
            "pictures_before": before,
            "restored_after": len(done),
            "records_after": len(by_name(command.records)),
            "pictures_are_equal": pictures(self.folder / name) == self.expected[1],
        }

    def interrupted(
        self, *ray: str, by: signal.Signals = signal.SIGINT, patience: float = 10.0
    ) -> dict[str, Any]:
        """The command ended by a signal; what is left running of what it had started, after a while."""
        name = f"ended-{by.name}"
        with self.command(name, "--ray", *ray) as command:
            for _ in command.coming():
                break
            started = descendants(command.process.pid)
            sent = time.monotonic()
            command.process.send_signal(by)
            command.process.wait()
            seconds = time.monotonic() - sent
        return {
            "exit_code": command.process.returncode,
            "seconds": round(seconds, 2),
            "started": len(started),
            "left": len(_still_there(started, patience)),
            "said": [line for line in command.said.splitlines() if line],
        }

    def rate(self, nodes: Nodes, name: str) -> float:
        """Pictures a second, of workers of one thread each."""
        with self.command(name, "--ray", nodes.address) as command:
            command.finish()
        return command.rate

    @cached_property
    def expected(self) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
        """Records and pictures of one process."""
        with self.command("serial") as command:
            if command.finish():
                raise RuntimeError("the single process failed")
        return by_name(command.records), pictures(self.folder / "serial")

    @cached_property
    def photos(self) -> Path:
        """The folder of photos."""
        folder = self.folder / "photos"
        folder.mkdir()
        draws = np.random.default_rng(0)
        for number in range(self.count):
            height, width = draws.integers(*SIDES, 2, endpoint=True)
            coarse = draws.integers(0, 256, (4, 4, 3), np.uint8)
            image = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
            image.save(folder / f"{number:04}.png")
        return folder

    def command(self, output: str, *more: str) -> Command:
        """The command on these photos, with one thread for an operator."""
        bundle = [] if self.bundle is None else ["-m", str(self.bundle)]
        words = [self.photos.name, "-o", output, *bundle, "--steps", "1", "--threads", "1", *more]
        return Command(words, self.folder)

    def _held(self, command: Command, name: str, code: int) -> dict[str, Any]:
        """What a job came to, beside that of one process."""
        records, files = self.expected
        return {
            "photos": self.count,
            "exit_code": code,
            "records": len(command.records),
            "records_are_equal": by_name(command.records) == records,
            "pictures_are_equal": pictures(self.folder / name) == files,
        }


def opening_seconds(bundle: Path | None, folder: Path) -> dict[str, float]:
    """Seconds until a process has opened the bundle and restored one photo, and of a photo after that."""
    photos = sorted(folder.iterdir())[:21]
    start = time.perf_counter()
    with Upscaler(bundle, threads=1) as upscaler:
        upscaler(photos[0], steps=1)
        first = time.perf_counter() - start
        start = time.perf_counter()
        for photo in photos[1:]:
            upscaler(photo, steps=1)
        each = (time.perf_counter() - start) / (len(photos) - 1)
    return {"opening": round(first - each, 3), "picture": round(each, 4)}


def _still_there(pids: Sequence[int], patience: float) -> list[int]:
    """Those of some processes that do not end, however long one waits."""
    deadline = time.monotonic() + patience
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [pid for pid in pids if is_there(pid)]
