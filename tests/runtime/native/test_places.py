"""``python -m dit4sr.native``: what a build asks, and gets."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from support.native import COMPILERS, STRICT, run, tool

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.version import version
from dit4sr.runtime.native import places
from dit4sr.runtime.native.cli import command
from dit4sr.runtime.native.door import ABI, FRUGAL, LOW_MEMORY, NO_CACHE, TRUST_ENGINES
from dit4sr.runtime.native.places import CMAKE, HEADERS, SOURCE, Places


def asked(*words: str) -> str:
    return run(sys.executable, "-m", "dit4sr.native", *words).strip()


def test_every_place_exists():
    assert Path(asked("--cmake-dir")) == CMAKE
    assert (CMAKE / "dit4sr-config.cmake").is_file()
    found = json.loads(asked("--json"))
    assert found["version"] == version()
    assert found["environment"] == sys.prefix
    for name in ("headers", "source", "python_headers", "python_library"):
        assert Path(found[name]).exists(), name


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("header", ["dit4sr.h", "dit4sr.hpp"])
def test_each_header_compiles_alone(tmp_path, compiler, header):
    """The C header in both languages, and nothing before it."""
    commands = {"c": (compiler, "-std=c11"), "cpp": (COMPILERS[compiler], "-std=c++17")}
    for ending, (program, standard) in commands.items():
        if header.endswith("hpp") and ending == "c":
            continue
        source = tmp_path / f"alone.{ending}"
        source.write_text(f"#include <{header}>\n")
        run(tool(program), standard, *STRICT, "-fsyntax-only", f"-I{HEADERS}", source)


def test_flags_compile_and_link_a_program(tmp_path):
    source = tmp_path / "program.c"
    source.write_text("#include <dit4sr.h>\nint main(void) { return (int)dit4sr_abi(); }\n")
    cflags, ldflags = shlex.split(asked("--cflags")), shlex.split(asked("--ldflags"))
    program = tmp_path / "program"
    run(tool("gcc"), source, asked("--source"), *cflags, "-o", program, *ldflags)
    run(program, expect=ABI)


def test_pkg_config_says_the_same(tmp_path):
    (tmp_path / "dit4sr.pc").write_text(asked("--pkg-config") + "\n")
    path = {"PKG_CONFIG_PATH": str(tmp_path)}

    def told(*words: str) -> list[str]:
        return shlex.split(run(tool("pkg-config"), *words, "dit4sr", **path))

    assert told("--variable=source") == [str(SOURCE)]
    assert told("--modversion") == [version()]
    assert set(told("--cflags")) == {
        word
        for flag in Places.of_this_python().compiler_flags
        for word in shlex.split(flag.replace('"', '\\"'))
    }
    assert set(told("--libs")) <= set(Places.of_this_python().linker_flags)


def test_the_header_and_the_door_are_of_one_version():
    text = (HEADERS / "dit4sr.h").read_text()
    assert f'#define DIT4SR_VERSION "{version()}"' in text
    assert f"#define DIT4SR_ABI {ABI}" in text
    flags = re.findall(r"DIT4SR_\w+ = (\d+)", text.split("enum {", 1)[1].split("};", 1)[0])
    assert [int(flag) for flag in flags] == [LOW_MEMORY, FRUGAL, NO_CACHE, TRUST_ENGINES]


def test_a_python_that_cannot_be_embedded_is_told(monkeypatch, capsys):
    monkeypatch.setattr(places, "_libraries", lambda: iter([Path("/nowhere/libpython.a")]))
    assert run_command(command, ["--cflags"]) == 3
    assert "no shared library" in capsys.readouterr().err
