"""What building plans takes of a machine, looked at before minutes of work."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.machine.host import available_memory


def check_components(bundle: Bundle, names: Sequence[str]) -> None:
    """Refuse components that the bundle does not have."""
    if unknown := sorted(set(names) - set(bundle.components)):
        raise BadInputError(
            f"no component {unknown[0]!r} here", expected=f"some of {', '.join(bundle.components)}"
        )


def check_disk(
    bundle: Bundle,
    plans: Mapping[str, int],
    folder: Path,
    fix: str = "free some, or build fewer --components",
) -> None:
    """Refuse to begin without the space: a plan is about as large as its graph's weights."""
    needed = sum(count * _weights(bundle, name) for name, count in plans.items())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadInputError(
            f"{free:,} bytes free at {folder.parent}",
            expected=f"{needed:,} ({format_bytes(needed)}) for these plans",
            fix=fix,
        )


def check_memory(bundle: Bundle, names: Iterable[str], per_weight: float) -> None:
    """Refuse to begin without the memory for the largest component, rather than be killed."""
    needed = int(per_weight * max((_weights(bundle, name) for name in names), default=0))
    free = available_memory()
    if free is not None and free < needed:
        raise OutOfMemoryError(
            f"{format_bytes(free)} of memory available",
            expected=f"{format_bytes(needed)} to compile the largest component",
            fix="close other programs, build some --components only, or use a larger machine",
        )


def _weights(bundle: Bundle, name: str) -> int:
    return sum(record.bytes for record in bundle.components[name].files)
