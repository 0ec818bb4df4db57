"""Options that several commands have, so that the same flag means the same in each."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from dit4sr.runtime.console.help import Decorator, option
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.files.address import is_address
from dit4sr.runtime.files.names import checked_name

AUTO = "auto"
HUB = "hf://"
DEVICES = (AUTO, "cpu", "cuda")


class NameType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """The name of a file or folder, as text, for it may also be ``-``; or as a path."""

    name = "path"

    def __init__(self, kind: type[str] | type[Path], *, takes_addresses: bool = False) -> None:
        self._kind, self._takes_addresses = kind, takes_addresses

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> str | Path:
        """The name, if a file can have it; whether there is one, the command says in its own words.

        The address of a file in a store stays as it is, where the command may take one.
        """
        if self._takes_addresses and is_address(str(value)):
            return str(value)
        return self._kind(checked_name(value))


class SourceType(NameType):
    """A bundle or checkpoint: a folder or file here or, only where it is written so, ``hf://owner/name``."""

    def __init__(self) -> None:
        super().__init__(Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """The path of what is here, after fetching it where it was not."""
        if not str(value).startswith(HUB):
            return super().convert(value, param, ctx)
        from dit4sr.runtime.hub.fetching import fetched  # noqa: PLC0415 - few write so
        from dit4sr.runtime.hub.name import HubName  # noqa: PLC0415

        return fetched(HubName.of(value), lambda line: click.echo(line, err=True))


class HubNameType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A name on the hub, of something that need not be there yet."""

    name = "hub"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> Any:
        """The name in its parts."""
        from dit4sr.runtime.hub.name import HubName  # noqa: PLC0415 - few write so

        return HubName.of(value)


PATH, NAME, SOURCE, HUB_NAME = NameType(Path), NameType(str), SourceType(), HubNameType()
PLACE = NameType(str, takes_addresses=True)
"""Of pictures: a name as any, or the address of a file in a store."""


class NumberType(click.FloatRange):
    """A finite number; against one that is none every comparison fails, and so every gate would hold."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that a word says."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


NUMBER = NumberType()
MOST_SEED_DIGITS = 20


def json_option(
    help: str = "Also write the result as JSON; - prints it in place of the tables.",  # noqa: A002
    *,
    is_followed_by_inputs: bool = False,
    aliases: Sequence[str] = (),
) -> Decorator:
    """``--json [FILE|-]``, as ``json_file``; alone it is standard output.

    Where it was a flag without a value once, an input may follow it on an old command line
    (``is_followed_by_inputs``): the next word is its FILE there only if that ends in ``.json`` or ``.jsonl``.
    ``--json=FILE`` takes any name.
    """
    takes = _is_json_name if is_followed_by_inputs else lambda _word: True
    return option(
        "--json",
        "json_file",
        type=NAME,
        aliases=aliases,
        bare=PIPE,
        takes=takes,
        metavar="[FILE|-]",
        help=help,
    )


def force_option(help: str = "Replace what is there.") -> Decorator:  # noqa: A002
    """``--force``, as ``force``; ``--overwrite`` is the same."""
    return option("--force", "force", aliases=["--overwrite"], is_flag=True, help=help)


def threads_option(help: str = "Of one operator; 0 is one per core.") -> Decorator:  # noqa: A002
    """``--threads N``."""
    return option("--threads", type=click.IntRange(0, 1024), default=0, metavar="N", help=help)


def backend_option() -> Decorator:
    """``--backend NAME``; which there are, the runtime says when it opens a bundle."""
    return option(
        "--backend",
        default=AUTO,
        show_default=True,
        metavar="NAME",
        help="tensorrt, tensorrt-rtx, inductor, onnxruntime, or the best that bundle and machine allow.",
    )


def device_option(help: str = "Where to run; auto takes a GPU if there is one.") -> Decorator:  # noqa: A002
    """``--device auto|cpu|cuda``, or a number as other tools count GPUs."""
    return option("--device", aliases=["-g"], type=DeviceType(), default=AUTO, show_default=True, help=help)


def low_memory_option() -> Decorator:
    """``--low-memory``: slower in exchange."""
    return option(
        "--low-memory",
        aliases=["--low-vram"],
        is_flag=True,
        help="Hold one component, and few wide weights.",
    )


def max_pixels_option(help: str) -> Decorator:  # noqa: A002
    """``--max-pixels N``, against pictures that no memory holds."""
    return option("--max-pixels", type=click.IntRange(1), default=8192 * 8192, show_default=True, help=help)


def trust_engines_option() -> Decorator:
    """``--trust-engines``; for a service the environment says it, `dit4sr.runtime.bundles.trust`."""
    return option(
        "--trust-engines",
        is_flag=True,
        help="Run engines that were not built here. They are code: packages on this machine, plans on its "
        "GPU. ONNX graphs are data and need no trust. DIT4SR_TRUST_ENGINES=1 says the same.",
    )


def steps_option(help: str = "Evaluations of the network; the bundle's by default.") -> Decorator:  # noqa: A002
    """``--steps N``; the settings of a run say what is too many."""
    return option("--steps", type=int, metavar="N", help=help)


def preset_option() -> Decorator:
    """``--preset NAME``; which there are, the bundle says."""
    return option(
        "--preset",
        metavar="NAME",
        help="exact, balanced or fast, as measured on this bundle; other options override it.",
    )


def guidance_option() -> Decorator:
    """``--guidance SCALE``, which other tools call ``--cfg``."""
    return option(
        "--guidance",
        "guidance",
        aliases=["--cfg"],
        type=NUMBER,
        metavar="SCALE",
        help="Guidance scale; 1 turns it off; the bundle's by default.",
    )


def seed_option() -> Decorator:
    """``--seed N|random``, as a number."""
    return option(
        "--seed", type=SeedType(), default="0", show_default=True, metavar="N|random", help="Of the noise."
    )


def typed_options() -> dict[str, str]:
    """The options that the user wrote, rather than leaving them at their defaults, by parameter name."""
    context = click.get_current_context()
    return {
        str(each.name): next(spelling for spelling in each.opts if spelling.startswith("--"))
        for each in context.command.params
        if isinstance(each, click.Option)
        and context.get_parameter_source(str(each.name)) is ParameterSource.COMMANDLINE
    }


class DeviceType(click.Choice):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A device by name, or by the number that other tools give it: -1 for the CPU, 0 for the first GPU."""

    def __init__(self) -> None:
        super().__init__(DEVICES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The device that a word names."""
        name = {"-1": "cpu", "0": "cuda"}.get(str(value), value)
        if str(name).replace(",", "").isdigit():
            self.fail(
                f"{name!r}: one GPU is used, the first; CUDA_VISIBLE_DEVICES says which that is", param, ctx
            )
        return str(super().convert(name, param, ctx))


class SeedType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """A whole number below 2⁶⁴, or the word "random", for which one is drawn here, once."""

    name = "seed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that a word says."""
        text = str(value)
        if text == "random":
            drawn = secrets.randbelow(1 << 32)
            # At once, for a kill leaves no other moment.
            click.echo(f"seed {drawn} was drawn: --seed {drawn} repeats it", err=True)
            return drawn
        is_short = text.isascii() and text.isdigit() and len(text) <= MOST_SEED_DIGITS
        if not is_short or int(text) >= 1 << 64:
            self.fail(f"{text!r} is no seed; write a whole number below 2⁶⁴, or random", param, ctx)
        return int(text)


def _is_json_name(word: str) -> bool:
    return word == PIPE or word.endswith((".json", ".jsonl"))
