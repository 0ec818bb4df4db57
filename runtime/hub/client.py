"""The hub's own client, and what its failures mean to a user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dit4sr.runtime.console.requirements import require
from dit4sr.runtime.errors import BadInputError, Dit4srError, MissingDependencyError
from dit4sr.runtime.hub.name import HubName

ENDPOINT = "HF_ENDPOINT"
"""The environment variable by which users of the client name another hub."""


class UnreachableError(MissingDependencyError):
    """Nobody answers, or nobody is to be asked."""


def hub_client() -> Any:
    """The client, which reads tokens and endpoints where its users keep them."""
    require("huggingface_hub", extra="hub")
    from huggingface_hub import HfApi  # noqa: PLC0415 - only who writes hf:// needs it
    from huggingface_hub.utils import disable_progress_bars  # noqa: PLC0415

    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(endpoint=os.environ.get(ENDPOINT), library_name="dit4sr")


@contextmanager
def one_line_about(name: HubName) -> Iterator[None]:
    """Turn whatever the client raises into one line."""
    try:
        yield
    except Exception as error:
        is_ours = isinstance(error, (Dit4srError, MemoryError))
        if is_ours or (isinstance(error, OSError) and error.errno is not None):  # such as a full disk
            raise
        raise _explained(name, _root_of(error)) from None


def _root_of(error: BaseException) -> BaseException:
    """What was first: the client wraps failures in advice of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _explained(name: HubName, error: BaseException) -> Dit4srError:
    from huggingface_hub import errors  # noqa: PLC0415 - only who writes hf:// needs it

    match error:
        case errors.OfflineModeIsEnabled():
            return UnreachableError(f"{name} is not asked for: HF_HUB_OFFLINE is set", fix="unset it")
        case errors.LocalTokenNotFoundError():
            return BadInputError(f"{name}: nobody is logged in", fix="hf auth login, or set HF_TOKEN")
    # Errors of the client, and of its library for HTTP, have what the hub answered, if it did.
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return UnreachableError(f"{name} cannot be reached ({reason})", fix="check the network")
    if status >= 500:
        return UnreachableError(f"{name}: the hub answers {status}", fix="try again later")
    return BadInputError(
        f"{name}: the hub answers {status}",
        expected="a repository and a revision that are there and open to you",
        fix="check the name; for what is not public, hf auth login or HF_TOKEN",
    )
