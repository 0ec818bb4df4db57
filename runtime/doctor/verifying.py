"""Holding a bundle's files against its manifest, and saying how far that is: gigabytes take their time."""

from __future__ import annotations

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.progress import StatusLine
from dit4sr.runtime.console.table import format_bytes


def verify_digests(bundle: Bundle) -> None:
    """Refuse a bundle of which any file has other bytes than the manifest says."""
    files = bundle.manifest.files()
    size, done = sum(record.bytes for record in files), 0
    with StatusLine() as line:
        for record in files:
            line.show(f"{record.path}  {100 * done // max(size, 1)}% of {format_bytes(size)} verified")
            bundle.checked((record,))
            done += record.bytes


def verify_sizes(bundle: Bundle) -> None:
    """Refuse a bundle of which a file is missing or cut short; nothing is read."""
    for record in bundle.manifest.files():
        path = bundle.path / record.path
        if not path.is_file() or path.stat().st_size != record.bytes:
            bundle.checked((record,))  # which says what is wrong
