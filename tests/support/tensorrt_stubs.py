"""The real TensorRT Python bindings, importable where there is neither TensorRT nor a GPU.

The bindings need three libraries. NVIDIA's lean runtime, a public wheel, holds the plugin registry and the
runtime; the rest, the builder and the parser, is stubbed with functions that return null. That is enough to
import everything, to register plugins and to evaluate them. All of it lives in the user's cache folder.
"""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dit4sr.kernels.aot import cache_directory

# Up to 11.1 the bindings turn an attribute into a number in a way that NumPy 2.4 no longer allows.
COMPANIONS = {"11.4.0.106": (), "10.16.1.11": ("numpy==2.3.5",)}
VERSIONS = tuple(COMPANIONS)

STUBS = {
    "nvinfer": """
        extern "C" void* getPluginRegistry();
        extern "C" void* getBuilderPluginRegistry(int) { return getPluginRegistry(); }
        extern "C" void* createInferBuilder_INTERNAL(void*, int) { return nullptr; }
    """,
    "nvinfer_plugin": """
        extern "C" bool initLibNvInferPlugins(void*, char const*) { return true; }
    """,
    "nvonnxparser": """
        extern "C" void* createNvOnnxParser_INTERNAL(void*, void*, int) { return nullptr; }
        extern "C" void* createNvOnnxParserRefitter_INTERNAL(void*, void*, int) { return nullptr; }
        extern "C" int getNvOnnxParserVersion() { return 0; }
    """,
}


@functools.cache
def bindings(version: str) -> Path:
    """The folder from which `import tensorrt` works in a process started by `run`."""
    home = cache_directory() / "tests" / f"tensorrt-{version}-{sys.implementation.cache_tag}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes builds, the others wait for it
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=home.parent) as draft:
                _build(version, Path(draft, "made"))
                Path(draft, "made").rename(home)
    return home


def run(version: str, *arguments: str, text: str = "") -> str:
    """Run this Python with those bindings, feed it `text`, return what it prints."""
    home = bindings(version)
    path = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path, "LD_LIBRARY_PATH": str(home)},
    )
    assert done.returncode == 0, f"with TensorRT {version}: {done.stderr}"
    return done.stdout


def _build(version: str, home: Path) -> None:
    home.mkdir()
    for wheel in (
        f"tensorrt_cu13_bindings=={version}",
        f"tensorrt_lean_cu13_libs=={version}",
        *COMPANIONS[version],
    ):
        download(wheel, home)
    (home / "tensorrt_bindings").rename(home / "tensorrt")
    (lean,) = (home / "tensorrt_lean_libs").glob("libnvinfer_lean.so.*")
    lean = lean.rename(home / lean.name)
    shutil.rmtree(home / "tensorrt_lean_libs")
    for library, code in STUBS.items():
        name = f"lib{library}.so{lean.suffix}"
        needs = [f"-l:{lean.name}", "-Wl,-rpath,$ORIGIN"] if library == "nvinfer" else []
        flags = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-L.", "-Wl,--no-as-needed"]
        subprocess.run(
            ["g++", *flags, "-xc++", "-", *needs, "-o", name],
            input=code,
            text=True,
            check=True,
            cwd=home,
        )


def download(requirement: str, home: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            folder,
            requirement,
        ]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (
            f"this test needs {requirement} from the package index, and pip could not fetch it: {done.stderr}"
        )
        (wheel,) = Path(folder).iterdir()
        zipfile.ZipFile(wheel).extractall(home)
