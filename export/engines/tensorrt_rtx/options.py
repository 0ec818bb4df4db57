"""The command's options for these plans, and the config that they make."""

from __future__ import annotations

from dit4sr.export.engines.options import ALLOW_UNFUSED, ARCH, PROFILES, Given
from dit4sr.export.engines.plans.spans import picture_spans
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig

OPTIONS = (ARCH, PROFILES, ALLOW_UNFUSED)


def config_of(given: Given) -> RtxConfig:
    """The config that the typed options ask for."""
    return RtxConfig(
        architectures=given["arch"],
        components=given["components"],
        text_tokens=given["text_tokens"],
        pictures=tuple(picture_spans(profile) for profile in given["profiles"]),
        allow_unfused=given["allow_unfused"],
    )
