"""What a training left on disk: tensors, and the settings that they came of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.reading import require_ordinary

Settings = Mapping[str, Any]
"""Whatever a training would come out differently with, as JSON."""


def write_state(file: Path, tensors: Mapping[str, Tensor], settings: Settings) -> None:
    """Write tensors, all or none."""
    partial = file.with_suffix(".partial")
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    save_file(contiguous, partial, metadata={"settings": json.dumps(settings)})
    partial.replace(file)


def read_state(file: Path, settings: Settings) -> dict[str, Tensor]:
    """Read what `write_state` wrote, which must have come of the same settings."""
    require_ordinary(file, IntegrityError)
    try:
        with safe_open(file, framework="pt") as state:
            begun = json.loads((state.metadata() or {}).get("settings", "{}"))
            tensors = {key: state.get_tensor(key) for key in state.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(file, error) from None
    wanted = json.loads(json.dumps(settings))
    if begun != wanted:
        differing = [
            name for name in wanted if not isinstance(begun, dict) or begun.get(name) != wanted[name]
        ]
        raise BadInputError(
            f"{file} was begun with another {' and '.join(differing)}",
            fix="give another folder, or delete what this one holds",
        )
    return tensors


def damaged(file: Path, error: Exception) -> IntegrityError:
    """What to say of a state that is not whole."""
    return IntegrityError(
        f"{file} is not the whole state of a training ({error})", fix="delete it to begin that stage anew"
    )
