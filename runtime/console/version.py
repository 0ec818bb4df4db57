"""Which version of the toolkit this is."""

from __future__ import annotations


def version() -> str:
    """The version that is installed; a checkout that is not says so."""
    # It takes as long to import as half of NumPy, and is needed only when somebody asks.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("dit4sr")
    except metadata.PackageNotFoundError:
        return "from a checkout"
