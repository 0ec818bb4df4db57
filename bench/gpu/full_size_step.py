"""``python -m dit4sr.bench.gpu.full_size_step``: one step at full size, in every formulation, on one table.

512×512, guidance, 333 text tokens, random weights. Each contender runs in a process of its own and with a
time limit, because compiling may take longer than the GPU is lent for: one that does not finish is reported
as such and costs no other its turn. A picture is 40 steps and what it needs once: the VAE, and `prepare`
where that is not part of every step. Without a GPU ``--size small --device cpu`` tries the code; that is no
measurement.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from statistics import median
from typing import Any

import click
import torch

from dit4sr.bench.gpu.contenders import CONTENDERS, STEPS, Workload
from dit4sr.export import architectures
from dit4sr.kernels.timing import Machine
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import grouped_command
from dit4sr.runtime.console.names import parse_names
from dit4sr.runtime.console.options import json_option
from dit4sr.runtime.console.output import print_result
from dit4sr.runtime.errors import BadInputError, MissingDependencyError

REPEATS = {"cuda": 30, "cpu": 2}
WARM_UP = 3


def workload(size: str, device: str, dtype: str) -> Workload:
    """The workload of a size, on a device and in a type."""
    place, kind = torch.device(device), getattr(torch, dtype)
    architecture = architectures.named(architectures.DEFAULT)
    if size == "full":
        return Workload(architecture.published({}), (64, 64), 333, place, kind)
    return Workload(architecture.smallest(), (4, 4), 5, place, kind, vae_channels=(32, 32, 32, 32))


@torch.no_grad()
def measured(name: str, work: Workload) -> dict[str, Any]:
    """Build one contender and time it."""
    contender = CONTENDERS[name]
    begin = time.perf_counter()
    call = contender.build(work)
    for _ in range(WARM_UP):
        call()
    if work.device.type == "cuda":
        torch.cuda.synchronize()
    ready = time.perf_counter() - begin
    seconds = sorted(timed(call, work.device.type))
    memory = torch.cuda.max_memory_allocated() if work.device.type == "cuda" else None
    return {
        "name": name,
        "contender": contender.name,
        "seconds": median(seconds),
        "low": seconds[len(seconds) // 10],
        "high": seconds[-1 - len(seconds) // 10],
        "ready_after": round(ready, 1),
        "peak_memory_bytes": memory,
        "flops": work.flops(released=contender.is_released) if contender.once else None,
    }


def timed(call: Any, device: str) -> list[float]:
    """Seconds of each of several calls that follow one another, as in a loop of steps."""
    if device == "cpu":
        seconds = []
        for _ in range(REPEATS[device]):
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        return seconds
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(REPEATS[device] + 1)]
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    torch.cuda.synchronize()
    return [first.elapsed_time(second) / 1e3 for first, second in pairwise(marks)]


def in_own_process(name: str, arguments: list[str], limit: float) -> dict[str, Any]:
    """Measure a contender in a process of its own: its record, or why there is none."""
    command = [sys.executable, "-m", "dit4sr.bench.gpu.full_size_step", "--only", name, *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return failure(name, f"not done after {limit:.0f} s")
    if done.returncode:
        return failure(name, (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:200])
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def failure(name: str, why: str) -> dict[str, Any]:
    """The words in a contender's row where there are no numbers."""
    return {"name": name, "contender": CONTENDERS[name].name, "failure": why}


def with_shares(rows: list[dict[str, Any]], machine: Machine) -> list[dict[str, Any]]:
    """Add what follows: share of the measured matmul rate, speed-up, 40 steps, and the picture."""
    seconds = {row["name"]: row["seconds"] for row in rows if "seconds" in row}
    for row in rows:
        once = CONTENDERS[row["name"]].once
        if once is None or "seconds" not in row:
            continue
        row["share"] = row["flops"] / row["seconds"] / machine.matmul_rate
        row["speed_up"] = seconds["released"] / row["seconds"] if "released" in seconds else None
        row["steps_seconds"] = STEPS * row["seconds"]
        known = all(name in seconds for name in once)
        row["picture_seconds"] = row["steps_seconds"] + sum(seconds[n] for n in once) if known else None
    return rows


def table(rows: list[dict[str, Any]], machine: Machine) -> str:
    """The records as a table for people."""
    lines = [
        f"{machine.name}, {machine.dtype}: matmul {machine.matmul_rate / 1e12:.4g} TFLOP/s, "
        f"copy {machine.copy_bandwidth / 1e12:.3g} TB/s, both measured",
        f"{'':46}{'ms':>9}{'share':>8}{'faster':>8}{'40 steps':>10}{'picture':>10}",
    ]
    for row in rows:
        if "failure" in row:
            lines.append(f"{row['contender']:46}{row['failure']}")
            continue
        line = f"{row['contender']:46}{row['seconds'] * 1e3:9.2f}"
        if "share" in row:
            faster = f"{row['speed_up']:.2f}×" if row["speed_up"] else ""
            picture = f"{row['picture_seconds']:8.2f} s" if row["picture_seconds"] else ""
            line += f"{row['share']:8.1%}{faster:>8}{row['steps_seconds']:8.2f} s{picture:>10}"
        lines.append(line)
    return "\n".join(
        [*lines, "a picture is 40 steps, the VAE, and prepare where it is no part of a step; no prompts"]
    )


@grouped_command()
@click.option("--size", type=click.Choice(["full", "small"]), default="full", show_default=True)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--dtype", type=click.Choice(["float16", "bfloat16"]), default="float16", show_default=True)
@click.option("--only", help="Measure one contender here and print its JSON.")
@click.option("--contenders", help=f"Some of {','.join(CONTENDERS)}; all by default.")
@click.option("--limit", type=float, help="Seconds for one contender; by default what is usual for its kind.")
@click.option("--budget", type=float, default=360.0, show_default=True, help="Seconds for all of them.")
@json_option(aliases=["--record"])
def command(
    *,
    size: str,
    device: str,
    dtype: str,
    only: str | None,
    contenders: str | None,
    limit: float | None,
    budget: float,
    json_file: str | None,
) -> None:
    """Time one guided step at 512×512 in every formulation."""
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingDependencyError(
            "no CUDA device here", fix="--size small --device cpu tries the code, without measuring"
        )
    names = [only] if only else list(parse_names(contenders)) or list(CONTENDERS)
    if unknown := sorted(set(names) - CONTENDERS.keys()):
        raise BadInputError(f"no contender {unknown[0]!r}", expected=f"some of {', '.join(CONTENDERS)}")
    if only:
        click.echo(json.dumps(measured(only, workload(size, device, dtype))))
        return

    end = time.monotonic() + budget
    arguments = ["--size", size, "--device", device, "--dtype", dtype]
    rows = []
    for name in names:
        left = end - time.monotonic()
        if left < 1:
            rows.append(failure(name, "no time left"))
        else:
            rows.append(in_own_process(name, arguments, min(limit or CONTENDERS[name].limit, left)))
    machine = Machine.measured(torch.device(device), getattr(torch, dtype))
    rows = with_shares(rows, machine)
    found = {
        "workload": {"size": size, "picture": "512×512" if size == "full" else "32×32", "rows": 2},
        "machine": machine.__dict__,
        "torch": torch.__version__,
        "rows": rows,
    }
    print_result(table(rows, machine), found, json_file)


if __name__ == "__main__":
    run_process(command)
