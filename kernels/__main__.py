"""`python -m dit4sr.kernels`: what every shipped kernel costs on every architecture, without a GPU."""

import importlib
import json
import sys
from typing import IO, Any

import click

from dit4sr.kernels import aot
from dit4sr.kernels.output import json_option, print_result

OPERATORS = ("depthwise_inject", "joint_attention")


def shipped_kernels() -> list[aot.KernelSource]:
    """Every kernel configuration that an engine may carry, of every operator."""
    modules = (importlib.import_module(f"dit4sr.kernels.{name}.kernel") for name in OPERATORS)
    return [source for module in modules for source in module.shipped_configurations()]


def resource_rows(architectures: tuple[int, ...]) -> list[dict[str, Any]]:
    """Compile and assemble every shipped kernel; one row per kernel and architecture."""
    return [
        {
            "kernel": source.name,
            "arch": arch,
            "target": kernel.target,
            "ptx": kernel.ptx_version,
            "warps": kernel.num_warps,
            "registers": kernel.registers,
            "shared": kernel.shared,
            "spills": kernel.spill_bytes,
        }
        for source in shipped_kernels()
        for arch in architectures
        for kernel in [aot.compile_kernel(source, arch)]
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Format rows with the same keys as a table: text to the left, numbers to the right."""
    lines = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [isinstance(value, int) for value in rows[0].values()]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _architectures(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        chosen = tuple(int(arch) for arch in value.split(","))
    except ValueError:
        chosen = ()
    if not chosen or not set(chosen) <= set(aot.ARCHITECTURES):
        raise click.BadParameter(f"expected some of {','.join(map(str, aot.ARCHITECTURES))}, found {value}")
    return chosen


@click.command()
@click.option(
    "--arch",
    "architectures",
    default=",".join(map(str, aot.ARCHITECTURES)),
    show_default=True,
    callback=_architectures,
    help="Compute capabilities, separated by commas.",
)
@json_option
def main(architectures: tuple[int, ...], json_file: IO[str] | None) -> None:
    """Compile every shipped kernel ahead of time; print registers, shared memory and spills."""
    try:
        rows = resource_rows(architectures)
    except ModuleNotFoundError as missing:
        click.echo(f"expected {missing.name} to be installed (pip install {missing.name})", err=True)
        sys.exit(3)
    print_result(table(rows), json.dumps(rows, indent=1), json_file)


if __name__ == "__main__":
    main()
