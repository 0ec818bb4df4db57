"""What the C source calls first. Everything here answers; nothing raises."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError
from dit4sr.runtime.native.answers import answered
from dit4sr.runtime.native.log import INFO, LOG, WARNING, Say
from dit4sr.runtime.native.upscaler import NativeUpscaler
from dit4sr.runtime.upscaler import Upscaler

ABI = 1
"""The interface of `dit4sr.h` that this answers to."""

LOW_MEMORY, FRUGAL, NO_CACHE, TRUST_ENGINES = 1, 2, 4, 8
"""Flags of the options."""
_FLAGS = LOW_MEMORY | FRUGAL | NO_CACHE | TRUST_ENGINES


@answered
def begin(abi: int, say: Say, owns_python: int) -> None:
    """Meet the C source: it says which interface it was compiled for, and what listens to the log."""
    if abi != ABI:
        raise IncompatibleError(
            f"the program was compiled for interface {abi} of dit4sr",
            expected=f"{ABI}, as of the dit4sr in its environment",
            fix="compile it again with the sources of that environment",
        )
    LOG.listen(say)
    if owns_python:
        LOG.take_over_streams()


@answered
def open_bundle(options: Mapping[str, Any]) -> NativeUpscaler:
    """Open a bundle with the fields of ``dit4sr_options``; what C left NULL is None."""
    flags, cache = options["flags"], _path(options["cache"])
    if flags & ~_FLAGS:
        raise BadInputError(f"flags {flags:#x}", expected=f"a sum of those in dit4sr.h, {_FLAGS:#x} at most")
    bundle = Bundle.open(_path(options["bundle"]) or tiny_bundle(), trust_engines=bool(flags & TRUST_ENGINES))
    choice = choose(
        bundle,
        os.fsdecode(options["backend"] or AUTO),
        device=os.fsdecode(options["device"] or AUTO),
        threads=options["threads"],
        frugal=bool(flags & FRUGAL),
    )
    upscaler = Upscaler(
        bundle,
        backend=choice,
        keep_components=not flags & LOW_MEMORY,
        cache=cache,
        use_cache=not flags & NO_CACHE,
    )
    LOG.tell(WARNING, upscaler.notices)
    LOG.tell(INFO, (reason for reason in upscaler.reasons if reason not in upscaler.notices))
    return NativeUpscaler(upscaler, choice.backend, options["threads"])


def _path(name: bytes | None) -> Path | None:
    return None if name is None else Path(os.fsdecode(name))
