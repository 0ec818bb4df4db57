"""cuda-bindings, importable without a driver: calls check their arguments, and answer with an error."""

from __future__ import annotations

import fcntl
import functools
import sys
import tempfile
from pathlib import Path

from support.tensorrt_stubs import download

from dit4sr.kernels.aot import cache_directory

WHEELS = ("cuda-bindings==13.5.0", "cuda-pathfinder==1.8.2")


@functools.cache
def bindings() -> Path:
    """The folder from which `from cuda.bindings import runtime` works."""
    home = cache_directory() / "tests" / f"cuda-{WHEELS[0].split('==')[1]}-{sys.implementation.cache_tag}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes fetches, the others wait for it
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=home.parent) as draft:
                made = Path(draft, "made")
                made.mkdir()
                for wheel in WHEELS:
                    download(wheel, made)
                made.rename(home)
    return home
