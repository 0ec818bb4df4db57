"""The service under load beside the bare library: what `bench/results/triton-cpu.json` records.

PYTHONPATH=tests python -m support.triton_server.load bench/results/triton-cpu.json
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from support.photos import make_photo
from support.triton_server.asking import MODEL
from support.triton_server.server import Triton, analyser, require_triton

from dit4sr.runtime import Upscaler
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.machine.host import processor_name, usable_cores
from dit4sr.runtime.serving.config import Instances
from dit4sr.runtime.serving.repository import ServedModel

CLIENTS = (1, 2, 4, 8)
SIDE = 24


def measured(clients: tuple[int, ...], requests: int, instances: int = 1) -> dict[str, Any]:
    """Seconds and pictures a second by number of clients, of the service and of the library."""
    require_triton()
    load_before = os.getloadavg()[0]
    served, bare = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repository = folder / "models"
        ServedModel(tiny_bundle(), repository, MODEL, instances=Instances("cpu", instances)).write()
        threads = max(1, int(usable_cores()) // instances)
        with Triton(repository, folder) as server, Upscaler(threads=threads) as upscaler:
            # In turns, for what else the machine does changes; who is not asked does nothing.
            for count in clients:
                served.append(_analysed(server, folder / str(count), count, requests))
                bare.append(_timed(upscaler, count, requests))
    return {
        "measured": date.today().isoformat(),
        "machine": {"processor": processor_name(), "cores": usable_cores()},
        "load_average_before": load_before,
        "server": "tritonserver 2.51.0, Python backend",
        "versions": {each: metadata.version(each) for each in ("dit4sr", "onnxruntime")},
        "picture": f"{SIDE}×{SIDE} to {4 * SIDE}×{4 * SIDE}, one step, dit4sr-tiny",
        "requests": requests,
        "instances": instances,
        "served": served,
        "bare": bare,
    }


def _analysed(server: Triton, folder: Path, clients: int, requests: int) -> dict[str, Any]:
    """What NVIDIA's perf_analyzer finds over HTTP.

    Its own rate counts whole seconds of waiting. Clients that ask anew as soon as they are answered have
    as many requests under way as there are clients, so the rate follows from the mean time of one.
    """
    folder.mkdir()
    data, found = folder / "data.json", folder / "found.csv"
    levels = make_photo(SIDE, SIDE)
    request = {"picture": {"content": levels.ravel().tolist(), "shape": list(levels.shape)}, "steps": [1]}
    data.write_text(json.dumps({"data": [request]}))
    command, environment = analyser(folder)
    options = {"-m": MODEL, "-u": server.http, "-f": found, "--input-data": data, "--percentile": 99}
    options |= {"--concurrency-range": clients, "--request-count": requests}
    words = [*command, "--verbose-csv", *(str(word) for pair in options.items() for word in pair)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    if not found.exists():
        raise RuntimeError(f"perf_analyzer failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    with found.open(newline="") as file:
        row = next(csv.DictReader(file))
    mean = (float(row["request/response"]) + float(row["response wait"])) / 1e6
    return {
        "clients": clients,
        "p50_seconds": float(row["p50 latency"]) / 1e6,
        "p99_seconds": float(row["p99 latency"]) / 1e6,
        "pictures_per_second": round(clients / mean, 3),
    }


def _timed(upscaler: Upscaler, callers: int, requests: int) -> dict[str, Any]:
    """The library with as many threads that call it."""
    levels, seconds, lock = make_photo(SIDE, SIDE), list[float](), threading.Lock()
    upscaler(levels, steps=1)

    def once(_: int) -> None:
        start = time.perf_counter()
        upscaler(levels, steps=1)
        with lock:
            seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(once, range(requests)))
    whole = time.perf_counter() - start
    p50, p99 = np.percentile(seconds, [50, 99]).tolist()
    return {
        "clients": callers,
        "p50_seconds": p50,
        "p99_seconds": p99,
        "pictures_per_second": requests / whole,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(measured(CLIENTS, 120), indent=2, ensure_ascii=False) + "\n")
