"""Names of clusters on a command line."""

from __future__ import annotations

import re
from typing import Any

import click

_ADDRESS = re.compile(r"auto|local|ray://.+|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")


def is_cluster_address(word: str) -> bool:
    """True for what names a cluster, rather than a picture that follows ``--ray``."""
    return bool(_ADDRESS.fullmatch(word))


class ClusterType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """The address of a cluster; an empty word leaves it to the environment."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address, if a cluster can have it."""
        text = str(value)
        if text and not is_cluster_address(text):
            self.fail(f"{text!r} is no address of a cluster; write auto, local or HOST:PORT", param, ctx)
        return text
