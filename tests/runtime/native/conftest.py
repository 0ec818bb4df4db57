"""The C interface, compiled once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.native import PROGRAMS, compile_program
from support.native.abi import WAITS, Library


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Library:
    """Within this Python, which has its symbols already."""
    target = tmp_path_factory.mktemp("native") / "libdit4sr.so"
    return Library(compile_program(target, [], "-shared", links_python=False))


@pytest.fixture
def opened(library, toy_bundle):
    upscaler = library.open(toy_bundle, threads=1, flags=4)
    yield upscaler
    library.c.dit4sr_close(upscaler, WAITS)


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Callable[..., Path]:
    """Compiles one of the programs beside `support.native`, once for each set of flags."""
    made: dict[tuple[str, ...], Path] = {}

    def compiled(name: str, *flags: str) -> Path:
        if (name, *flags) not in made:
            target = tmp_path_factory.mktemp("program") / name.partition(".")[0]
            made[(name, *flags)] = compile_program(target, [PROGRAMS / name], *flags)
        return made[(name, *flags)]

    return compiled
