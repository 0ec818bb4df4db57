"""The options by which a command writes a model repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.help import option
from dit4sr.runtime.console.options import PATH, typed_options

if TYPE_CHECKING:
    from dit4sr.runtime.serving.repository import ServedModel

# What writes a repository imports NumPy and Pillow, and --help needs neither.
# ruff: noqa: PLC0415

_SERVED_AS = re.compile(r"(?P<name>[^/]+?)?(?:/(?P<version>[1-9][0-9]{0,8}))?")
_INSTANCES = re.compile(r"(?P<kind>auto|cpu|gpu)(?::(?P<count>[1-9][0-9]{0,2}))?")
_ALSO_TAKEN = {"force", "json_file"}


class PatternType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A word in parts, of which some may be left out."""

    def __init__(self, name: str, pattern: re.Pattern[str]) -> None:
        self.name, self._pattern = name, pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parts by name."""
        found = self._pattern.fullmatch(str(value))
        if not value or found is None:
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return found.groupdict()


SERVED_AS, INSTANCES = PatternType("NAME/VERSION", _SERVED_AS), PatternType("KIND:COUNT", _INSTANCES)

SERVING = (
    option(
        "--triton-repository",
        type=PATH,
        metavar="DIR",
        help="Write the bundle at CHECKPOINT into a model repository of Triton Inference Server.",
    ),
    option(
        "--served-as",
        type=SERVED_AS,
        metavar="NAME/VERSION",
        help="Its name there; the bundle's own, and 1, by default.",
    ),
    option(
        "--instances",
        type=INSTANCES,
        metavar="KIND:COUNT",
        help="Processes that serve, on auto, cpu or gpu; auto:1 by default.",
    ),
    option("--copy", "is_copied", is_flag=True, help="The bundle itself into the repository, not a link."),
    option("--decoupled", "is_decoupled", is_flag=True, help="Answer with a stream that tells the progress."),
)


def served_model(repository: Path | None, options: Mapping[str, Any]) -> ServedModel | None:
    """What these options ask to write, if they do; such as mean nothing then, or without it, are refused."""
    ours = {"served_as", "instances", "is_copied", "is_decoupled"}
    typed = typed_options()
    if repository is None:
        for name in ours & typed.keys():
            raise click.UsageError(f"{typed[name]} is for --triton-repository")
        return None
    for name in typed.keys() - ours - _ALSO_TAKEN - {"triton_repository"}:
        raise click.UsageError(f"{typed[name]} does nothing with --triton-repository")
    from dit4sr.runtime.bundles.built_in import tiny_bundle
    from dit4sr.runtime.serving.config import Instances
    from dit4sr.runtime.serving.repository import ServedModel

    served_as, instances = options["served_as"] or {}, options["instances"] or {}
    return ServedModel(
        bundle=options["checkpoint"] or tiny_bundle(),
        repository=repository,
        name=served_as.get("name"),
        version=int(served_as.get("version") or 1),
        instances=Instances(instances.get("kind", "auto"), int(instances.get("count") or 1)),
        is_copied=options["is_copied"],
        is_decoupled=options["is_decoupled"],
        replace=options["force"],
    )
