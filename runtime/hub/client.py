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
    from huggingface_hub import errors  # noqa: PLC0415 - as above

    try:
        yield
    except (Dit4srError, KeyboardInterrupt, MemoryError):
        raise
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status >= 500:
            raise UnreachableError(f"{name}: the hub answers {status}", fix="try again later") from None
        raise BadInputError(
            f"{name}: the hub answers {status}",
            expected="a repository and a revision that are there and open to you",
            fix="check the name; for what is not public, hf auth login or HF_TOKEN",
        ) from None
    except errors.OfflineModeIsEnabled:
        raise UnreachableError(f"{name} is not asked for: HF_HUB_OFFLINE is set", fix="unset it") from None
    except errors.LocalTokenNotFoundError:
        raise BadInputError(f"{name}: nobody is logged in", fix="hf auth login, or set HF_TOKEN") from None
    except OSError as error:
        if error.errno is not None:
            raise  # a disk that is full, and the like
        raise _unreachable(name, error) from None
    except Exception as error:
        raise _unreachable(name, error) from None


def _unreachable(name: HubName, error: Exception) -> UnreachableError:
    """What the client's library for HTTP says, which has classes of its own for it."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return UnreachableError(f"{name} cannot be reached ({reason})", fix="check the network")
