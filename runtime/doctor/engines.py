"""Which backends this machine can run, whatever the bundle, and what the others lack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dit4sr.runtime.backends.compatibility import Obstacle
from dit4sr.runtime.backends.inductor import NAME as INDUCTOR
from dit4sr.runtime.backends.inductor import compatibility as inductor
from dit4sr.runtime.backends.onnxruntime import NAME as ONNXRUNTIME
from dit4sr.runtime.backends.onnxruntime import compatibility as onnxruntime
from dit4sr.runtime.backends.plans.compatibility import absences
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt import NAME as TENSORRT
from dit4sr.runtime.backends.tensorrt import machine as tensorrt
from dit4sr.runtime.backends.tensorrt_rtx import NAME as TENSORRT_RTX
from dit4sr.runtime.backends.tensorrt_rtx import machine as tensorrt_rtx
from dit4sr.runtime.backends.tensorrt_rtx.compatibility import obstacles_here
from dit4sr.runtime.machine.gpu import GpuDriver


@dataclass(frozen=True)
class BackendReport:
    """One backend: what it runs here, or everything that stands in the way of its running anything."""

    name: str
    runs: str
    obstacles: tuple[Obstacle, ...]

    @property
    def can_run(self) -> bool:
        """True if nothing is lacking."""
        return not self.obstacles

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lacks = [{"what": each.what, "remedy": each.remedy} for each in self.obstacles]
        return {"backend": self.name, "can_run": self.can_run, "runs": self.runs, "lacks": lacks}


def backend_reports(driver: GpuDriver) -> list[BackendReport]:
    """Every backend, best first."""
    return [
        _plans(TENSORRT, tensorrt.this_machine, lambda machine: absences(TENSORRT, machine)),
        _plans(TENSORRT_RTX, tensorrt_rtx.this_machine, obstacles_here),
        _inductor(driver),
        _onnxruntime(),
    ]


def _plans(
    name: str, look: Callable[[], Machine], obstacles: Callable[[Machine], Iterable[Obstacle]]
) -> BackendReport:
    try:
        machine = look()
    except (ImportError, RuntimeError) as error:
        broken = Obstacle(f"asking CUDA failed ({_line(error)})", "check the driver with nvidia-smi")
        return BackendReport(name, "", (broken,))
    return BackendReport(name, f"plans for {machine.words}", tuple(obstacles(machine)))


def _inductor(driver: GpuDriver) -> BackendReport:
    """By torch's record alone: importing it takes seconds and a gigabyte."""
    version = inductor.torch_version() or ""
    # A build without CUDA says so in its version.
    gpus = () if version.endswith("+cpu") else driver.gpus[:1]
    targets = ["cpu", *(gpu.architecture for gpu in gpus)]
    runs = f"packages for {' and '.join(targets)} of torch {'.'.join(version.split('.')[:2])}"
    return BackendReport(INDUCTOR, runs, tuple(inductor.absences()))


def _onnxruntime() -> BackendReport:
    obstacles: Sequence[Obstacle] = tuple(onnxruntime.absences())
    device = onnxruntime.CPU
    if not obstacles:
        try:
            device = onnxruntime.CUDA if onnxruntime.has_cuda() else onnxruntime.CPU
        except ImportError as error:
            obstacles = [Obstacle(f"onnxruntime is broken ({_line(error)})", onnxruntime.INSTALL)]
    return BackendReport(ONNXRUNTIME, f"the graphs of any bundle, on {device}", tuple(obstacles))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
