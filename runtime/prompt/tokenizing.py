"""From words to token ids, in a process of its own for each prompt.

A ``tokenizer.json`` from a stranger is a program: it can make the library panic, abort, ask for all memory or
never return, and for which prompt it does so cannot be seen from the file. So no verdict is remembered, and
every new prompt is tokenised where nothing can be lost, within limits of time and memory. That takes a fifth
of a second beside encoders that take longer, and nothing for a prompt whose embedding is stored.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.errors import IncompatibleError, MissingDependencyError

PROGRAM = Path(__file__).with_name("tokenizer_process.py")
SECONDS = 60
"""Limit of one prompt; SD3.5's three tokenizers take less than one."""
MEMORY = 4 << 30
"""Limit of the address space; the same three take a tenth of it."""
MOST_TOKENS = 100_000


def token_ids(tokenizers: Mapping[str, str], prompt: str) -> list[NDArray[np.int64]]:
    """Tokenise a prompt by each of some tokenizers, given by their file's name and text."""
    request = {
        "library": _library(),
        "tokenizers": list(tokenizers.values()),
        "prompt": prompt,
        "seconds": SECONDS,
        "memory": MEMORY,
        "tokens": MOST_TOKENS,
    }
    lines, end = _run(json.dumps(request).encode())
    found: list[NDArray[np.int64]] = []
    for number, name in enumerate(tokenizers):
        answer = json.loads(lines[number]) if number < len(lines) else {"error": end}
        if "error" in answer:
            raise IncompatibleError(
                f"{name} is no tokenizer that can be used ({answer['error']})",
                fix="export the bundle anew from a checkpoint that you trust",
            )
        found.append(np.array(answer["ids"], dtype=np.int64))
    return found


def _run(request: bytes) -> tuple[list[bytes], str]:
    """Lines that the process has answered, and what ended it if they are too few."""
    if not sys.executable:
        raise MissingDependencyError(
            "words are read in a process of its own, and this Python does not know its own program",
            fix="run it from an ordinary Python",
        )
    process = subprocess.Popen(
        # Isolated: a tokenizers.py in the folder of somebody's photos is none of ours.
        [sys.executable, "-I", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    with process:
        try:
            output, _ = process.communicate(request, timeout=SECONDS)
            end = f"it ended the process with status {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            end = f"it did not answer within {SECONDS} seconds"
        except BaseException:
            process.kill()
            raise
    return [line for line in output.splitlines(keepends=True) if line.endswith(b"\n")], end


def _library() -> str:
    """The folder that the library is imported from."""
    found = importlib.util.find_spec("tokenizers")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "reading a prompt needs the tokenizers library", fix="pip install 'dit4sr[text]'"
        )
    return str(Path(found.origin).parents[1])
