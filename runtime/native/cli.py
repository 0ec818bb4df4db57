"""``python -m dit4sr.native``: what a build of C or C++ asks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import click

from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.native.places import CMAKE, SOURCE, Places

ANSWERS: dict[str, tuple[str, Callable[[], str]]] = {
    "cmake-dir": ("The folder for CMake: -Ddit4sr_DIR=FOLDER.", lambda: str(CMAKE)),
    "cflags": ("What compiles a program.", lambda: shlex.join(Places.of_this_python().compiler_flags)),
    "ldflags": ("What links it.", lambda: shlex.join(Places.of_this_python().linker_flags)),
    "source": ("The one source to compile into it.", lambda: str(SOURCE)),
    "pkg-config": ("The text of a dit4sr.pc.", lambda: Places.of_this_python().pkg_config()),
    "json": ("All places, for other builds.", lambda: json.dumps(Places.of_this_python().to_json())),
}
"""Options, their help, and what each prints."""


def _with_answers(function: Callable[..., None]) -> click.Command:
    for name, (words, _) in reversed(ANSWERS.items()):
        function = click.option(f"--{name}", is_flag=True, help=words)(function)
    return click.command(name="python -m dit4sr.native", no_args_is_help=True)(function)


@_with_answers
def command(**asked: Any) -> None:
    """Say where the C interface lies, and how this environment's is compiled. See docs/embedding.md."""
    for name, (_, answer) in ANSWERS.items():
        if asked[name.replace("-", "_")]:
            click.echo(answer())


def main() -> None:
    """Entry point of the module."""
    run_process(command)
