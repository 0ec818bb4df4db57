"""The program of the process that tokenises; it is run by its path, and imports nothing of this package.

On standard input it gets one JSON object: the tokenizers' texts, the prompt, the folder of the library and
the limits. For each tokenizer it answers with one line of JSON, ``{"ids": […]}`` or ``{"error": "…"}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def limit(seconds: int, memory: int) -> None:
    """Bound this process, where the system can; elsewhere only the caller's patience bounds it."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    for kind, most in (("RLIMIT_CPU", seconds), ("RLIMIT_AS", memory), ("RLIMIT_CORE", 0)):
        number = getattr(resource, kind)
        hard = resource.getrlimit(number)[1]
        try:
            resource.setrlimit(number, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (OSError, ValueError):
            continue  # macOS lists limits that it does not have


def answer(library: Any, text: str, prompt: str, most: int) -> dict[str, Any]:
    """The prompt's tokens by one tokenizer."""
    try:
        ids = library.Tokenizer.from_str(text).encode(prompt).ids
    except BaseException as error:  # a panic in the library's Rust is no Exception
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"ids": ids} if 0 < len(ids) <= most else {"error": f"it makes {len(ids)} tokens of a prompt"}


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.buffer.read())
    limit(request["seconds"], request["memory"])
    sys.path.append(request["library"])
    import tokenizers  # noqa: PLC0415 - within the limits

    for text in request["tokenizers"]:
        line = json.dumps(answer(tokenizers, text, request["prompt"], request["tokens"]))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # the next one may end the process


if __name__ == "__main__":
    main()
