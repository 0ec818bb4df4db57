"""The command's options for plans, and the config that they make."""

from __future__ import annotations

import click

from dit4sr.export.engines.options import ALLOW_UNFUSED, ARCH, PROFILES, Given, single_architecture
from dit4sr.export.engines.plans.config import Forms
from dit4sr.export.engines.plans.spans import picture_spans
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.runtime.backends.tensorrt import NAME

FORMS = click.Choice(["native", "plugin"])

OPTIONS = (
    ARCH,
    PROFILES,
    ALLOW_UNFUSED,
    click.Option(
        ["--weight-stripped"], is_flag=True, help=f"{NAME}: plans that take weights from the bundle."
    ),
    click.Option(["--version-compatible"], is_flag=True, help=f"{NAME}: plans that newer versions run too."),
    click.Option(
        ["--builder-level"],
        type=click.IntRange(0, 5),
        default=3,
        show_default=True,
        help=f"{NAME}: how long to search for kernels.",
    ),
    click.Option(
        ["--workspace"],
        type=click.IntRange(1),
        metavar="MIB",
        help=f"{NAME}: most memory a layer may use.",
    ),
    click.Option(
        ["--attention"],
        type=FORMS,
        default="native",
        show_default=True,
        help=f"{NAME}: whose kernel runs attention, the library's or ours.",
    ),
    click.Option(
        ["--inject"],
        type=FORMS,
        default="native",
        show_default=True,
        help=f"{NAME}: the same for the injected convolution.",
    ),
    click.Option(
        ["--time-layers"], is_flag=True, help=f"{NAME}: write the slowest layers into the manifest."
    ),
)


def config_of(given: Given) -> TensorRtConfig:
    """The config that the typed options ask for."""
    return TensorRtConfig(
        architecture=single_architecture(given),
        components=given["components"],
        text_tokens=given["text_tokens"],
        pictures=tuple(picture_spans(profile) for profile in given["profiles"]),
        allow_unfused=given["allow_unfused"],
        weight_stripped=given["weight_stripped"],
        version_compatible=given["version_compatible"],
        level=given["builder_level"],
        workspace=given["workspace"] and given["workspace"] << 20,
        forms=Forms(given["attention"], given["inject"]),
        time_layers=given["time_layers"],
        verify=not given["no_verify"],
    )
