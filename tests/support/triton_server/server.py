"""A real ``tritonserver`` that serves a model repository on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest

HOME = Path(sys.prefix) / "triton"
"""Where ``make`` installs it: beside the environment, and in the way of nothing there."""
PATIENCE = 120.0


def require_triton() -> None:
    """Skip a test, saying so, where there is no server; let its clients be imported where there is."""
    if not (HOME / "pytriton" / "tritonserver").is_dir():
        pytest.skip(
            "no Triton Inference Server here: make .venv/triton/.ready fetches one where there is one"
        )
    if str(HOME) not in sys.path:
        sys.path.append(str(HOME))  # last: what both have is the environment's


class Triton:
    """One running server."""

    def __init__(self, repository: Path, folder: Path, *options: str) -> None:
        """Start it, with what it says in a file in a folder, and wait until it is ready."""
        folder.mkdir(parents=True, exist_ok=True)
        self.http, self.grpc, self.metrics_port = (f"127.0.0.1:{_free_port()}" for _ in range(3))
        self.log = folder / "triton.log"
        ports = {"http": self.http, "grpc": self.grpc, "metrics": self.metrics_port}
        command = [
            str(HOME / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={_backends(folder)}",
            *(f"--{name}-address=127.0.0.1" for name in ports),
            *(f"--{name}-port={address.partition(':')[2]}" for name, address in ports.items()),
            "--exit-timeout-secs=60",
            "--disable-auto-complete-config",  # spares a process: the configuration is whole
            *options,
        ]
        with self.log.open("wb") as log:
            # Its Python sees first what lies in the working folder, and looks at no PYTHONPATH.
            self.process = subprocess.Popen(
                command, cwd=HOME / "server", env=_environment(), stdout=log, stderr=log
            )
        self._wait_until_ready()

    def metrics(self) -> str:
        """What its endpoint for metrics says."""
        with urllib.request.urlopen(f"http://{self.metrics_port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def is_ready(self, path: str = "/v2/health/ready") -> bool:
        """Ask a probe as Kubernetes would."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def terminate(self) -> None:
        """Send what a service manager sends, and do not wait."""
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> int:
        """End it, and return how it ended."""
        if self.process.poll() is None:
            self.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Triton:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"Triton did not come up:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)


def analyser(folder: Path) -> tuple[list[str], dict[str, str]]:
    """NVIDIA's load generator, as a command and its environment; its libraries are in the server's wheel."""
    libraries = HOME / "nvidia_pytriton.libs"
    for name, pattern in (("libcudart.so.12", "libcudart-*.so.12*"), ("libb64.so.0d", "libb64-*.so.0d")):
        (folder / name).symlink_to(next(libraries.glob(pattern)))
    program = HOME / "bin" / "perf_analyzer"
    program.chmod(0o755)
    return [str(program)], os.environ | {"LD_LIBRARY_PATH": f"{folder}{os.pathsep}{libraries}"}


def _backends(folder: Path) -> Path:
    """The backends with the stub of this Python, which the wheel keeps elsewhere."""
    found, made = HOME / "pytriton" / "tritonserver", folder / "backends"
    if not made.is_dir():
        shutil.copytree(found / "backends", made)
        stub = found / "python_backend_stubs" / "{}.{}".format(*sys.version_info[:2])
        shutil.copy(stub / "triton_python_backend_stub", made / "python")
        (made / "python" / "triton_python_backend_stub").chmod(0o755)
    return made


def _environment() -> dict[str, str]:
    """This environment's Python first, and the libraries that the wheel brings."""
    libraries = [HOME / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
