"""Where a program that embeds dit4sr finds what it is compiled and linked with."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.console.version import version
from dit4sr.runtime.errors import MissingDependencyError

HERE = Path(__file__).parent
HEADERS, SOURCE, CMAKE = HERE / "include", HERE / "source" / "dit4sr.c", HERE / "cmake"


@dataclass(frozen=True)
class Places:
    """Paths of this environment."""

    environment: Path
    """What the program will run in, unless it is told another one."""
    python_headers: Path
    python_library: Path

    @classmethod
    def of_this_python(cls) -> Places:
        """Find them; a Python without a shared library cannot be embedded."""
        library = next((path for path in _libraries() if path.is_file()), None)
        if library is None:
            raise MissingDependencyError(
                f"the Python in {sys.base_prefix} has no shared library",
                expected="one that was built with --enable-shared",
                fix="install libpython, or make the environment with another Python",
            )
        return cls(Path(sys.prefix), Path(sysconfig.get_paths()["include"]), library)

    @property
    def compiler_flags(self) -> list[str]:
        """What compiles a program and the source."""
        return [
            f"-I{HEADERS}",
            # Warnings about Python's headers are not the user's.
            f"-isystem{self.python_headers}",
            f'-DDIT4SR_ENVIRONMENT="{self.environment}"',
            "-pthread",
        ]

    @property
    def linker_flags(self) -> list[str]:
        """What links them; Python's library is found again where it is now."""
        return [str(self.python_library), f"-Wl,-rpath,{self.python_library.parent}", "-pthread", "-ldl"]

    def to_json(self) -> dict[str, str]:
        """What CMake reads."""
        return {
            "version": version(),
            "environment": str(self.environment),
            "headers": str(HEADERS),
            "source": str(SOURCE),
            "python_headers": str(self.python_headers),
            "python_library": str(self.python_library),
        }

    def pkg_config(self) -> str:
        """The text of a file for pkg-config. The source is the user's to compile: it is a variable."""
        flags = " ".join(flag.replace('"', '\\"') for flag in self.compiler_flags)
        return "\n".join(
            [
                f"source={SOURCE}",
                "",
                "Name: dit4sr",
                "Description: Restores and enlarges photos; compile ${source} into the program",
                f"Version: {version()}",
                f"Cflags: {flags}",
                f"Libs: {' '.join(self.linker_flags)}",
            ]
        )


def _libraries() -> Iterator[Path]:
    """Where Python's shared library may be, as its build says."""
    folders = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    if sysconfig.get_config_var("MULTIARCH"):
        folders.append(f"{sysconfig.get_config_var('LIBDIR')}/{sysconfig.get_config_var('MULTIARCH')}")
    names = [sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY")]
    for folder in folders:
        for name in names:
            if folder and name and not str(name).endswith(".a"):
                yield Path(folder) / name
