"""The page as a web application: Gradio's, behind doors."""

from __future__ import annotations

import os

from dit4sr.runtime.page.answers import Answers
from dit4sr.runtime.page.doors import Doors
from dit4sr.runtime.page.limits import Limits
from dit4sr.runtime.page.shelf import Shelf

# Gradio reads its environment as it is imported, and that is set here.
# ruff: noqa: PLC0415


def application(answers: Answers, shelf: Shelf, limits: Limits, hosts: frozenset[str] | None) -> Doors:
    """Make the page's application; it keeps its files on the shelf and answers to these names of its host."""
    _keep_to_itself(shelf)
    import gradio
    from fastapi import FastAPI

    from dit4sr.runtime.page.layout import STYLE, Layout, theme

    app = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        Layout(answers, limits).blocks,
        path="/",
        allowed_paths=[],
        footer_links=[],
        max_file_size=limits.upload_bytes,
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        show_error=True,
        theme=theme(),
        css=STYLE,
    )
    return Doors(app, hosts=hosts, message_bytes=limits.message_bytes)


def _keep_to_itself(shelf: Shelf) -> None:
    """Have Gradio count nobody, ask for no newer version, and write to the shelf alone."""
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_TEMP_DIR": str(shelf.folder),
        "GRADIO_EXAMPLES_CACHE": str(shelf.folder / "examples"),
    }
