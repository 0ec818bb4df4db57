"""``dit4sr page``: a page in the browser to try a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.options import (
    SOURCE,
    backend_option,
    device_option,
    low_memory_option,
    max_pixels_option,
    threads_option,
    trust_engines_option,
)
from dit4sr.runtime.console.requirements import require

# Gradio takes seconds to import, NumPy and Pillow tenths: --help answers at once.
# ruff: noqa: PLC0415

EXAMPLES = (
    Example("the model in the box, in the browser", "dit4sr page --open"),
    Example("a bundle of one's own, at another port", "dit4sr page my-bundle --port 8000"),
)


@grouped_command(name="page", examples=EXAMPLES)
@click.argument("bundle", required=False, type=SOURCE)
@group(
    "Where it is",
    option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Address to listen at. Whoever can reach it can use the page: there is no password.",
    ),
    option(
        "--port",
        type=click.IntRange(0, 65535),
        default=7860,
        show_default=True,
        help="Port to listen at; 0 takes any that is free.",
    ),
    option("--open/--no-open", "opens", default=False, show_default=True, help="Open it in the browser."),
)
@group(
    "Limits",
    option(
        "--max-upload",
        type=click.IntRange(1, 1024),
        default=64,
        show_default=True,
        metavar="MIB",
        help="Refuse larger files, in MiB.",
    ),
    max_pixels_option("Refuse pictures that are larger at any stage, the result included."),
    option(
        "--max-queue",
        type=click.IntRange(1, 1000),
        default=20,
        show_default=True,
        metavar="N",
        help="Refuse more visitors than may wait for their turn.",
    ),
)
@group(
    "Speed and memory",
    backend_option(),
    trust_engines_option(),
    device_option(),
    threads_option(),
    low_memory_option(),
)
def command(
    *,
    bundle: Path | None,
    host: str,
    port: int,
    opens: bool,
    max_upload: int,
    max_pixels: int,
    max_queue: int,
    backend: str,
    trust_engines: bool,
    device: str,
    threads: int,
    low_memory: bool,
) -> None:
    """Open a page to try a BUNDLE, or the model in the box: drop a photo, restore it, compare, download.

    It is for this machine alone unless --host says otherwise, sends nothing anywhere, and forgets every
    picture within the hour or when it ends. Ctrl-C ends it.
    """
    require("gradio", extra="page")
    from dit4sr.runtime.page.limits import Limits
    from dit4sr.runtime.page.opening import Opening
    from dit4sr.runtime.page.server import Place, serve

    serve(
        Opening(bundle, backend, device, threads, is_frugal=low_memory, trusts_engines=trust_engines),
        Limits(upload_bytes=max_upload << 20, pixels=max_pixels, queue=max_queue),
        Place(host, port),
        opens=opens,
    )
