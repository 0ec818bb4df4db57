"""``dit4sr doctor``: what this machine can run, and what it would make of a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.options import (
    PATH,
    SOURCE,
    force_option,
    json_option,
    steps_option,
    threads_option,
    trust_engines_option,
)
from dit4sr.runtime.console.output import check_target, print_result

# NumPy and Pillow are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415

EXAMPLES = (
    Example("which engines this machine can run, and what the others lack", "dit4sr doctor"),
    Example("what a bundle holds, and what a picture would take here", "dit4sr doctor my-bundle --verify"),
)


@grouped_command(name="doctor", examples=EXAMPLES)
@click.argument("bundle", required=False, type=SOURCE)
@group(
    "Input and output",
    option("--verify", is_flag=True, help="Hold the bundle's files against their digests; else their sizes."),
    option("-o", "--output", type=PATH, default=Path(), help="Where pictures would go, for its free space."),
    force_option("Replace the file of --json."),
    json_option("Also write what was found as JSON; - prints it in place of the text."),
)
@group("Quality", steps_option())
@group("Speed and memory", threads_option(), trust_engines_option())
@click.pass_context
def command(
    context: click.Context,
    *,
    bundle: Path | None,
    verify: bool,
    output: Path,
    force: bool,
    json_file: str | None,
    steps: int | None,
    threads: int,
    trust_engines: bool,
) -> None:
    """Say which engines this machine can run, what the others lack, and what a BUNDLE would take here.

    Exit code 0 if something can run it, 3 if no engine can run here, 4 if the bundle does not fit.
    """
    check_target(json_file, replace=force)
    from dit4sr.runtime.bundles.bundle import Bundle
    from dit4sr.runtime.doctor.checkup import check_bundle, check_machine, exit_code
    from dit4sr.runtime.doctor.report import format_bundle, format_machine
    from dit4sr.runtime.settings import Settings

    machine, found = check_machine(output), None
    record, texts = {"machine": machine.to_json()}, [format_machine(machine)]
    if bundle is not None:
        opened = Bundle.open(bundle, trust_engines=trust_engines)
        found = check_bundle(opened, Settings(steps=steps), threads=threads, verify=verify)
        record["bundle"] = found.to_json()
        texts.append(format_bundle(found))
    print_result("\n\n".join(texts), record, json_file)
    context.exit(exit_code(machine, found))
