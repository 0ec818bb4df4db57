"""Polygraphy as typed in a folder that a failed verification left."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from dit4sr.export.engines.reproduction import COMMANDS

POLYGRAPHY = [sys.executable, "-c", "import sys; from polygraphy.tools import main; sys.exit(main())"]


def command_lines(folder: Path) -> list[str]:
    """The commands that the folder proposes."""
    lines = (folder / COMMANDS).read_text().replace("\\\n", "").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def polygraphy(command: str, folder: Path) -> int:
    """Type a command in a folder; 0 if Polygraphy passes it, 1 if not."""
    program, *words = shlex.split(command)
    assert program == "polygraphy"
    done = subprocess.run([*POLYGRAPHY, *words], cwd=folder, capture_output=True, text=True, check=False)
    summary = re.findall(r"(PASSED|FAILED) \| Runtime", done.stdout)
    assert summary == ["FAILED" if done.returncode else "PASSED"], done.stdout + done.stderr
    return done.returncode
