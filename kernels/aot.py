"""Triton kernels compiled ahead of time, on a machine that needs no GPU.

`compile_kernel` turns a `KernelSource` into PTX for one architecture, `assemble` proves that PTX with the
`ptxas` in Triton's wheel and counts what it costs. Results are kept in the process and on disk, addressed by
what went in, because a TensorRT build asks for the same kernel many times over.
"""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = [
    "ARCHITECTURES",
    "PTX_VERSIONS",
    "AotError",
    "CompiledKernel",
    "KernelSource",
    "Resources",
    "assemble",
    "cache_directory",
    "compile_kernel",
]

# The driver turns PTX into machine code, and refuses PTX newer than itself. So each architecture is pinned
# to an old PTX version instead of the newest that Triton's ptxas happens to know: 8.3 asks for a driver of
# CUDA 12.3, and the two Blackwells get the first versions that know them.
PTX_VERSIONS: Mapping[int, int] = MappingProxyType({80: 83, 86: 83, 89: 83, 90: 83, 100: 86, 120: 87})
ARCHITECTURES: tuple[int, ...] = tuple(PTX_VERSIONS)

# Raise this when the same inputs should give another result, so that no stale file is read.
CACHE_FORMAT = 1

_compiled: dict[str, "CompiledKernel"] = {}


class AotError(RuntimeError):
    """A kernel cannot be compiled ahead of time, or needs what a plain launch does not give it."""


@dataclasses.dataclass(frozen=True)
class KernelSource:
    """A Triton kernel with everything that must be fixed before it can be compiled."""

    name: str
    """What the reports call this configuration."""
    function: Any
    """The `triton.jit` function."""
    signature: Mapping[str, str]
    """Types of the run-time arguments by name: `*fp16`, `*bf16`, `*fp32`, `i32`, …"""
    constexprs: Mapping[str, Any]
    """Values of the `tl.constexpr` arguments by name."""
    aligned: tuple[str, ...] = ()
    """Arguments divisible by 16 (a pointer: 16 bytes), without which loads are not vectorised."""
    num_warps: int = 4
    num_stages: int = 1


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one thread block of an assembled kernel occupies."""

    registers: int
    """Registers per thread."""
    static_shared: int
    """Bytes of shared memory that the code declares; Triton's is dynamic instead, see `CompiledKernel`."""
    spill_bytes: int
    """Bytes of register spill stores and loads."""


@dataclasses.dataclass(frozen=True)
class CompiledKernel:
    """PTX for one architecture, with what a launcher must know."""

    entry: str
    """Name of the kernel in the PTX."""
    ptx: str
    shared: int
    """Bytes of dynamic shared memory to launch with."""
    num_warps: int
    registers: int
    spill_bytes: int
    ptx_version: str
    target: str

    @property
    def block_size(self) -> int:
        """Threads per block."""
        return 32 * self.num_warps


def cache_directory() -> Path:
    """Where compiled kernels are kept: `DIT4SR_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("DIT4SR_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(root) / "dit4sr"


def compile_kernel(source: KernelSource, arch: int) -> CompiledKernel:
    """Compile `source` for compute capability `arch` (90 means 9.0), or fetch it from the cache."""
    if arch not in PTX_VERSIONS:
        raise AotError(f"expected an architecture among {ARCHITECTURES}, found {arch}")
    key = _content_hash(source, arch)
    if key not in _compiled:
        path = cache_directory() / "kernels" / f"{key}.json"
        kernel = _read(path)
        if kernel is None:
            kernel = _compile(source, arch)
            _write_whole(path, json.dumps(dataclasses.asdict(kernel)))
        _compiled[key] = kernel
    return _compiled[key]


def assemble(ptx: str, arch: int) -> Resources:
    """Assemble PTX for `arch` with Triton's ptxas and report what the kernel occupies.

    PTX of an older architecture is assembled as the driver of the newer one would.
    """
    _, target = _version_and_target(ptx)
    chip = target if re.fullmatch(rf"sm_{arch}[a-z]?", target) else f"sm_{arch}"
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "kernel.ptx")
        code.write_text(ptx, encoding="utf-8")
        run = subprocess.run(
            [_ptxas(arch), "-v", f"--gpu-name={chip}", str(code), "-o", str(code.with_suffix(".cubin"))],
            capture_output=True,
            text=True,
            check=False,
        )
    report = run.stdout + run.stderr
    if run.returncode != 0:
        raise AotError(f"ptxas refuses the PTX for {chip}: {report.strip()}")
    registers = re.search(r"Used (\d+) registers", report)
    if registers is None:
        raise AotError(f"ptxas reports no registers for {chip}: {report.strip()}")
    shared = re.search(r"(\d+) bytes smem", report)
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    return Resources(
        registers=int(registers[1]),
        static_shared=int(shared[1]) if shared else 0,
        spill_bytes=sum(map(int, spills)),
    )


def _read(path: Path) -> CompiledKernel | None:
    try:
        return CompiledKernel(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # absent, torn or of another format: compiled again and replaced


def _compile(source: KernelSource, arch: int) -> CompiledKernel:
    import triton  # noqa: PLC0415  (importing this module stays light)
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415
    from triton.runtime.errors import PTXASError  # noqa: PLC0415

    names = source.function.arg_names
    unspecified = set(names) ^ (set(source.signature) | set(source.constexprs))
    if unspecified:
        raise AotError(f"{source.name}: arguments {sorted(unspecified)} do not match the kernel's {names}")
    described = ASTSource(
        source.function,
        {name: source.signature.get(name, "constexpr") for name in names},
        dict(source.constexprs),
        {(names.index(name),): [["tt.divisibility", 16]] for name in source.aligned},
    )
    options = {
        "num_warps": source.num_warps,
        "num_stages": source.num_stages,
        "ptx_version": PTX_VERSIONS[arch],
        "enable_fp_fusion": True,
    }
    with triton.knobs.compilation.scope():
        # Line information would write this machine's paths into the engine.
        triton.knobs.compilation.disable_line_info = True
        try:
            compiled = triton.compile(described, target=GPUTarget("cuda", arch, 32), options=options)
        except PTXASError as refusal:
            reasons = [line for line in str(refusal).splitlines() if "error   :" in line]
            raise AotError(f"{source.name}: ptxas refuses the PTX for sm_{arch}: {reasons[:1]}") from refusal
    metadata = compiled.metadata
    _refuse_special_launch(source.name, metadata)
    ptx = compiled.asm["ptx"]
    resources = assemble(ptx, arch)
    version, target = _version_and_target(ptx)
    return CompiledKernel(
        entry=metadata.name,
        ptx=ptx,
        shared=metadata.shared,
        num_warps=metadata.num_warps,
        registers=resources.registers,
        spill_bytes=resources.spill_bytes,
        ptx_version=version,
        target=target,
    )


def _refuse_special_launch(name: str, metadata: Any) -> None:
    """Refuse what TensorRT cannot launch: plainly, with null for the two scratch pointers Triton appends."""
    plain = {
        "global_scratch_size": 0,
        "profile_scratch_size": 0,
        "num_ctas": 1,
        "launch_pdl": False,
        "launch_cooperative_grid": False,
    }
    for field, expected in plain.items():
        found = getattr(metadata, field, expected)
        if found != expected:
            raise AotError(f"{name}: a plain launch needs {field} = {expected}, found {found}")


def _content_hash(source: KernelSource, arch: int) -> str:
    import triton  # noqa: PLC0415

    if not hasattr(source.function, "cache_key"):
        raise AotError(f"{source.name}: compiled kernels need TRITON_INTERPRET to be unset")
    content = [
        CACHE_FORMAT,
        triton.__version__,
        arch,
        PTX_VERSIONS[arch],
        source.function.cache_key,  # covers the functions it calls
        sorted(source.signature.items()),
        sorted(source.constexprs.items()),
        sorted(source.aligned),
        source.num_warps,
        source.num_stages,
    ]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _version_and_target(ptx: str) -> tuple[str, str]:
    version, target = re.search(r"^\.version (\S+)", ptx, re.M), re.search(r"^\.target ([^\s,]+)", ptx, re.M)
    if version is None or target is None:
        raise AotError("this is not PTX: it has no .version or no .target line")
    return version[1], target[1]


def _ptxas(arch: int) -> str:
    import triton  # noqa: PLC0415

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    # Triton ships an older assembler, and a newer one that knows Blackwell.
    return str(tools / ("ptxas-blackwell" if arch >= 100 else "ptxas"))


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that another process reads all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)
