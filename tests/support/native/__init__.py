"""Programs that embed dit4sr, compiled for a test with the flags that a user would ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dit4sr.runtime.native.places import SOURCE, Places

PROGRAMS = Path(__file__).parent
COMPILERS = {"gcc": "g++", "clang": "clang++"}
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def tool(name: str) -> str:
    """A program of this machine; what needs it says that it has not been run where there is none."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"not run: no {name} on this machine")
    return found


def compile_program(
    target: Path,
    sources: Sequence[Path],
    *flags: str,
    compiler: str = "gcc",
    embeds: bool = True,
    links_python: bool = True,
) -> Path:
    """Compile C, or C++ beside our C, with all warnings as errors; unless it ``embeds``, without our C."""
    places, is_cpp = Places.of_this_python(), any(source.suffix == ".cpp" for source in sources)
    target.parent.mkdir(parents=True, exist_ok=True)
    # What is only for the one language the other's compiler would complain of.
    objects = []
    for source in [*sources, *([SOURCE] if embeds else [])]:
        of_cpp = source.suffix == ".cpp"
        command = tool(COMPILERS[compiler] if of_cpp else compiler)
        standard = "-std=c++17" if of_cpp else "-std=c11"
        objects.append(target.with_name(f"{target.name}-{source.stem}.o"))
        run(
            *(command, standard, *STRICT, "-g", "-fPIC", *flags, *places.compiler_flags),
            *("-c", source, "-o", objects[-1]),
        )
    linked = places.linker_flags if embeds and links_python else ["-ldl"]
    run(tool(COMPILERS[compiler] if is_cpp else compiler), *flags, *objects, "-o", target, *linked)
    return target


def run(*command: object, expect: int = 0, seconds: float = 300, **environment: str) -> str:
    """Run a program and return what it printed; standard error is shown if it ends otherwise."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd="/",  # where no dit4sr is found by its folder
        env={**os.environ, **environment},
    )
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-6000:]
    return done.stdout


def write_ppm(path: Path, picture: np.ndarray) -> Path:
    """A PPM or PGM of 8 or 16 bits."""
    height, width = picture.shape[:2]
    kind, most = ("P6" if picture.ndim == 3 else "P5"), np.iinfo(picture.dtype).max
    levels = picture.astype(picture.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(f"{kind}\n{width} {height}\n{most}\n".encode() + levels)
    return path


def read_ppm(path: Path) -> np.ndarray:
    """The same back, without Pillow, which has no colours of 16 bits."""
    kind, size, most, levels = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    shape = (height, width, 3) if kind == b"P6" else (height, width)
    dtype = np.dtype(np.uint8 if most == b"255" else ">u2")
    picture: np.ndarray = np.frombuffer(levels, dtype).reshape(shape)
    return picture.astype(dtype.newbyteorder("="))


def sample(name: str, width: int, height: int) -> np.ndarray:
    """One of the photographs in the box, small."""
    from dit4sr.runtime.bundles.built_in import tiny_bundle  # noqa: PLC0415

    with Image.open(tiny_bundle().parent / "samples" / f"{name}.png") as image:
        return np.asarray(image.convert("RGB").resize((width, height)))
