"""How the benchmarks of the operators measure: cold caches, this machine's own limits, medians with spread.

Times are of the GPU alone: a call is captured into a CUDA graph, as the runtime launches its engines, and the
replay is timed. On a CPU (`--smoke`) the same code runs on tiny tensors, to show that it works; such rows are
labelled and are no measurement.
"""

import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Literal

import click
import torch

from dit4sr.kernels.output import json_option, print_result

__all__ = ["Limit", "Machine", "Row", "Timing", "benchmark_command", "compare", "table", "time_call"]

Call = Callable[[], Any]
Limit = Literal["copy bandwidth", "matmul rate"]

REPEATS = 50


@dataclasses.dataclass(frozen=True)
class Timing:
    """Times of a call in seconds: the median, and the first and last decile as its spread."""

    median: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Machine:
    """The machine that is measured on, and the limits it was measured to reach."""

    device: str
    name: str
    dtype: str
    copy_bandwidth: float
    """Bytes per second, read and written, of a large copy."""
    matmul_rate: float
    """Floating-point operations per second of a large square matrix multiplication."""

    @classmethod
    def measured(cls, device: torch.device, dtype: torch.dtype) -> "Machine":
        """Measure the limits of `device`."""
        real = device.type == "cuda"
        size, side = (2**30, 8192) if real else (2**20, 128)
        source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
        matrix = torch.randn(side, side, dtype=dtype, device=device)
        return cls(
            device=device.type,
            name=torch.cuda.get_device_name(device) if real else "CPU, smoke test: not a measurement",
            dtype=str(dtype).removeprefix("torch."),
            copy_bandwidth=2 * size / time_call(lambda: target.copy_(source), device).median,
            matmul_rate=2 * side**3 / time_call(lambda: matrix @ matrix, device).median,
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """The measurement of one contender on one shape."""

    shape: str
    contender: str
    timing: Timing
    bytes: int
    """Bytes that must cross the memory bus at least: inputs once, outputs once."""
    flops: int
    share: float
    """Share of the machine's measured limit that is reached."""
    speed_up: float
    """Speed-up over the first contender on this shape."""
    error: float
    """Largest deviation from the truth."""


def time_call(call: Call, device: torch.device) -> Timing:
    """Time `call` from cold caches."""
    seconds = sorted(_gpu_seconds(call, device) if device.type == "cuda" else _cpu_seconds(call))
    decile = len(seconds) // 10
    return Timing(statistics.median(seconds), seconds[decile], seconds[-1 - decile])


def compare(
    shape: str,
    contenders: Mapping[str, Call],
    *,
    machine: Machine,
    limit: Limit,
    bytes_moved: int,
    flops: int,
    error: Callable[[Any], float],
) -> list[Row]:
    """Time every contender on one shape; `error` judges what it returns."""
    device = torch.device(machine.device)
    rows: list[Row] = []
    for name, call in contenders.items():
        deviation = error(call())
        timing = time_call(call, device)
        reached, possible = (
            (bytes_moved, machine.copy_bandwidth)
            if limit == "copy bandwidth"
            else (flops, machine.matmul_rate)
        )
        rows.append(
            Row(
                shape=shape,
                contender=name,
                timing=timing,
                bytes=bytes_moved,
                flops=flops,
                share=reached / timing.median / possible,
                speed_up=(rows[0].timing.median if rows else timing.median) / timing.median,
                error=deviation,
            )
        )
    return rows


def table(machine: Machine, limit: Limit, rows: Iterable[Row]) -> str:
    """Format the rows as a table for people."""
    lines = [
        f"{machine.name}, {machine.dtype}. Measured limits: copies {machine.copy_bandwidth / 1e9:,.3g} GB/s, "
        f"matmul {machine.matmul_rate / 1e12:,.3g} TFLOP/s.",
        "Microseconds from cold caches: median, first and last decile.",
        "",
        f"{'shape':<22}{'contender':<22}{'µs':>9}{'low':>9}{'high':>9}{'GB/s':>9}{'TFLOP/s':>9}"
        f"{'of ' + limit:>19}{'speed-up':>10}{'error':>9}",
    ]
    for row in rows:
        micro = "".join(f"{1e6 * value:>9.1f}" for value in dataclasses.astuple(row.timing))
        rates = f"{row.bytes / row.timing.median / 1e9:>9.3g}{row.flops / row.timing.median / 1e12:>9.3g}"
        lines.append(
            f"{row.shape:<22}{row.contender:<22}{micro}{rates}{row.share:>19.1%}{row.speed_up:>9.2f}×"
            f"{row.error:>9.1e}"
        )
    return "\n".join(lines)


def benchmark_command(limit: Limit, measure: Callable[[Machine, bool], list[Row]]) -> click.Command:
    """Make the command of one operator's benchmark, `measure(machine, smoke)`."""

    @click.command(help="Benchmark the operator on this machine's GPU.")
    @click.option("--dtype", type=click.Choice(["float16", "bfloat16"]), default="float16", show_default=True)
    @click.option(
        "--smoke", is_flag=True, help="Run tiny shapes on the CPU, to try the code; no measurement."
    )
    @json_option
    def command(dtype: str, smoke: bool, json_file: IO[str] | None) -> None:
        if not smoke and not torch.cuda.is_available():
            click.echo("expected a CUDA device, found none; --smoke tries the code on the CPU", err=True)
            sys.exit(3)
        with torch.inference_mode():
            machine = Machine.measured(torch.device("cpu" if smoke else "cuda"), getattr(torch, dtype))
            rows = measure(machine, smoke)
        machine_and_rows = {"machine": machine, "limit": limit, "rows": rows}
        text = json.dumps(machine_and_rows, default=dataclasses.asdict, indent=1)
        print_result(table(machine, limit, rows), text, json_file)

    return command


def _cpu_seconds(call: Call) -> list[float]:
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return seconds


def _gpu_seconds(call: Call, device: torch.device) -> list[float]:
    replay = _captured(call)
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(REPEATS)]
    for begin, end in events:
        # Reading something large evicts the L2 cache and leaves nothing to write back; zeroing a buffer, as
        # is common, makes the call pay for its dirty lines. The call is queued while this still runs.
        _evictor(device).sum()
        begin.record()
        replay()
        end.record()
    torch.cuda.synchronize(device)
    return [begin.elapsed_time(end) / 1e3 for begin, end in events]


@functools.cache
def _evictor(device: torch.device) -> torch.Tensor:
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.ones(max(4 * cache, 2**28), dtype=torch.uint8, device=device).view(torch.int32)


def _captured(call: Call) -> Call:
    """Capture a replay of `call`, after it has compiled, tuned and allocated what it does the first times."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
