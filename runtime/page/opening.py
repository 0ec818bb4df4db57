"""How a page's bundle is opened, as a user wrote it: for the page, and for whoever repeats its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.upscaler import Upscaler


@dataclass(frozen=True)
class Opening:
    """A bundle and the options it is opened with, as a user wrote them."""

    bundle: Path | None
    """None for the model in the box."""
    backend: str
    device: str
    threads: int
    is_frugal: bool
    trusts_engines: bool

    def opened(self) -> Upscaler:
        """Open the bundle."""
        return Upscaler(
            self.bundle,
            backend=self.backend,
            device=self.device,
            threads=self.threads,
            keep_components=not self.is_frugal,
            frugal=self.is_frugal,
            trust_engines=self.trusts_engines,
        )

    def flags(self) -> list[str]:
        """The same as words on a command line: those that are not the defaults."""
        words = [] if self.bundle is None else ["-m", str(self.bundle)]
        for flag, value, default in (
            ("--backend", self.backend, "auto"),
            ("--device", self.device, "auto"),
            ("--threads", str(self.threads), "0"),
        ):
            words += [] if value == default else [flag, value]
        words += ["--low-memory"] if self.is_frugal else []
        return [*words, "--trust-engines"] if self.trusts_engines else words

    def arguments(self) -> list[str]:
        """The same as arguments of ``Upscaler``."""
        words = [] if self.bundle is None else [repr(str(self.bundle))]
        for name, value, default in (
            ("backend", self.backend, "auto"),
            ("device", self.device, "auto"),
            ("threads", self.threads, 0),
            ("frugal", self.is_frugal, False),
            ("trust_engines", self.trusts_engines, False),
        ):
            words += [] if value == default else [f"{name}={value!r}"]
        return words
