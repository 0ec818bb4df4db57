"""Runs of a command on what strangers send, in a process each: a crash or a hang is an outcome too.

The processes are forks of one that has imported everything and opened nothing, so that a run costs a tenth of
a second. A module of attacks has a function ``attack(number, sound, folder)``: it spoils a copy of a sound
bundle in an empty folder, and returns the arguments of ``dit4sr-upscale``.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = 60.0
"""Seconds after which a run counts as one that never returns."""
MOST_MEMORY = 4 << 30

Attack = Callable[[int, Path, Path], list[str]]


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    number: int
    ended: str
    """``exit 4``, or the name of the signal that ended it, or ``hang``."""
    output: str
    errors: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        return self.errors.splitlines()


def outcomes(module: str, sound: Path, numbers: range) -> list[Outcome]:
    """What became of some attacks, run by a process that has nothing else to do."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "support.forked_runs",
            module,
            str(sound),
            str(numbers.start),
            str(numbers.stop),
            str(numbers.step),
        ],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


def unclean(found: list[Outcome], allowed: set[int]) -> list[Outcome]:
    """Those that did not end in an allowed exit code, with one line where it is not 0."""
    good = {f"exit {code}" for code in allowed}
    return [
        one
        for one in found
        if one.ended not in good
        or (one.ended != "exit 0" and (len(one.lines) != 1 or not one.lines[0].startswith("error: ")))
    ]


def forked(number: int, attack: Attack, sound: Path) -> Outcome:
    """One run in a fork."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attack-") as scratch:
        folder = Path(scratch)
        child = os.fork()
        if child == 0:
            _run(number, attack, sound, folder)
        ended = _ended(child, start + LONGEST)
        output, errors = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    return Outcome(number, ended, output[:200], errors[:2000], round(time.monotonic() - start, 3))


def _run(number: int, attack: Attack, sound: Path, folder: Path) -> None:
    from dit4sr.runtime.cli import command  # noqa: PLC0415
    from dit4sr.runtime.console.command import run_command  # noqa: PLC0415

    code = 99
    try:
        os.setsid()
        for name, descriptor in (("out", 1), ("err", 2)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), descriptor)
        arguments = attack(number, sound, folder)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = run_command(command, arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _ended(child: int, deadline: float) -> str:
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return f"exit {code}" if code >= 0 else signal.Signals(-code).name
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang"


def main() -> None:
    # What a run would import is imported once; no session is opened here, for threads do not survive a fork.
    import onnxruntime  # noqa: F401, PLC0415
    import tokenizers  # noqa: F401, PLC0415

    import dit4sr.runtime.batch.job  # noqa: PLC0415
    import dit4sr.runtime.upscaler  # noqa: F401, PLC0415

    module, sound, *numbers = sys.argv[1:]
    attack = importlib.import_module(module).attack
    for number in range(*map(int, numbers)):
        outcome = forked(number, attack, Path(sound))
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
