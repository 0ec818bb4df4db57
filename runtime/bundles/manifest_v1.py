"""What version 1 of the manifest leaves unsaid: bundles written with it go on opening."""

from __future__ import annotations

from typing import Any

from dit4sr.runtime.bundles.schema import SchemaError

TEXT_ENCODERS = ("text_clip_l", "text_clip_g", "text_t5")
"""The only encoders there were, in the order in which they were joined whatever the manifest said."""
ADDED_SINCE = {"architecture", "text_encoders", "image_encoders", "views", "lighter_step"}


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """Return a parsed manifest of version 1 as version 2 would have written it."""
    if known := sorted(values.keys() & ADDED_SINCE):
        raise SchemaError(f"the document is of version 1 and has an unknown field {known[0]!r}")
    components = values.get("components")
    present = components if isinstance(components, dict) else {}
    return {
        **values,
        "schema": 2,
        "architecture": None,
        "text_encoders": [name for name in TEXT_ENCODERS if name in present],
    }
