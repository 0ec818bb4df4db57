"""What a checkpoint is made of and what running it costs: ``dit4sr-export --describe``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dit4sr.export import architectures
from dit4sr.export.architectures.protocol import Choices, Config
from dit4sr.export.architectures.summary import ModelSummary, tera_flops
from dit4sr.export.pipeline import NO_CHOICES
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.console.table import SEPARATOR, format_bytes, format_table

BYTES_PER_ELEMENT = {"fp32": 4, "fp16": 2, "fp8": 1}


@dataclass(frozen=True)
class Description:
    """The figures of a checkpoint, from which its tables are made."""

    checkpoint: str | None
    title: str
    config: Config
    tensors: int
    stored_bytes: Mapping[str, int]
    summary: ModelSummary
    height: int
    width: int
    text_tokens: int
    steps: int
    rows: int

    @property
    def live(self) -> int:
        """Number of parameters that reach the output."""
        return sum(group.live for group in self.summary.parameters)

    @property
    def dead(self) -> int:
        """Number of parameters that never reach the output."""
        return sum(group.dead for group in self.summary.parameters)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON; ``fp32`` and so on are bytes of the live parameters."""
        values = asdict(self)
        summary = {key: value for key, value in values.pop("summary").items() if key != "headline"}
        summary.pop("tensors")
        summary["parameters"] = [
            asdict(group) | {name: size * group.live for name, size in BYTES_PER_ELEMENT.items()}
            for group in self.summary.parameters
        ]
        per_picture = {"rows": self.rows, "steps": self.steps}
        return (
            values
            | summary
            | {
                "total": self.live + self.dead,
                "live": self.live,
                "dead": self.dead,
                "released_tflop_per_picture": tera_flops(self.summary.released, **per_picture),
                "simplified_tflop_per_picture": tera_flops(self.summary.simplified, **per_picture),
            }
        )


def describe(
    checkpoint: Path | None = None,
    choices: Choices = NO_CHOICES,
    *,
    name: str | None = None,
    size: tuple[int, int] = (512, 512),
    text_tokens: int | None = None,
    steps: int = 40,
    guidance: bool = True,
) -> Description:
    """Describe a checkpoint, or the published network at full size without allocating it.

    Which network that is, tensors tell, unless its architecture is named.
    """
    stored: dict[str, int] = {}
    if checkpoint is None:
        architecture = architectures.named(name or architectures.DEFAULT)
        config, tensors = architecture.published(choices), None
    else:
        opened = open_checkpoint(checkpoint)
        architecture = architectures.named(name) if name else architectures.detect(opened)
        config = architecture.load(opened, choices).to_json()
        beside = [open_checkpoint(checkpoint / companion) for companion in architecture.companions]
        found = [tensor for each in (opened, *beside) for tensor in each.tensors.values()]
        tensors = len(found)
        for tensor in found:
            stored[tensor.dtype] = stored.get(tensor.dtype, 0) + tensor.bytes
    if text_tokens is None:
        text_tokens = architecture.sampling().text_tokens
    summary = architecture.summary(config, size, text_tokens)
    return Description(
        checkpoint=None if checkpoint is None else str(checkpoint),
        title=architecture.sampling().name,
        config=config,
        tensors=summary.tensors if tensors is None else tensors,
        stored_bytes=stored,
        summary=summary,
        height=size[0],
        width=size[1],
        text_tokens=text_tokens,
        steps=steps,
        rows=2 if guidance else 1,
    )


def format_description(description: Description) -> str:
    """Format a description as tables for people."""
    return "\n\n".join(
        [
            _headline(description),
            _parameter_table(description),
            _memory(description),
            _macs_table(description),
        ]
    )


def _headline(d: Description) -> str:
    lines = [
        f"{d.title} transformer: {d.checkpoint or 'the full-size network'}",
        f"{d.summary.headline}; {d.tensors} tensors",
    ]
    if d.stored_bytes:
        stored = ", ".join(f"{format_bytes(count)} of {dtype}" for dtype, count in d.stored_bytes.items())
        lines.append(f"in the file: {stored}")
    lines += d.summary.notes
    return "\n".join(lines)


def _parameter_table(d: Description) -> str:
    rows: list[Any] = []
    for origin in dict.fromkeys(group.origin for group in d.summary.parameters):
        groups = [group for group in d.summary.parameters if group.origin == origin]
        rows += [_parameter_row(group.name, group.live, group.dead) for group in groups]
        live, dead = sum(g.live for g in groups), sum(g.dead for g in groups)
        rows += [SEPARATOR, _parameter_row(f"= {origin}", live, dead), SEPARATOR]
    rows.append(_parameter_row("= all", d.live, d.dead))
    return format_table(["parameters", "live", "dead", "all", "FP32", "FP16", "FP8"], rows)


def _parameter_row(name: str, live: int, dead: int) -> list[str]:
    sizes = (format_bytes(live * size) for size in BYTES_PER_ELEMENT.values())
    return [name, f"{live:,}", f"{dead:,}" if dead else "", f"{live + dead:,}", *sizes]


def _memory(d: Description) -> str:
    table, resident = d.summary.position_table, d.summary.resident
    share = 1 - resident / (d.live + d.dead + table)
    return (
        "Bytes are of the live parameters. Dead ones are never read, or multiplied with and then discarded.\n"
        f"The position table is a buffer of {table:,} elements more; a formula replaces it.\n"
        f"Resident while stepping, simplified: {resident:,} ({resident / 1e6:,.1f} M, "
        f"{format_bytes(2 * resident)} in FP16, {share:.1%} less than the file)."
    )


def _macs_table(d: Description) -> str:
    macs = {group: (d.summary.released[group], d.summary.simplified[group]) for group in d.summary.released}
    rows: list[Any] = [[group, *map(_giga, counts)] for group, counts in macs.items() if counts[0]]
    released, simplified = (sum(counts) for counts in zip(*macs.values(), strict=True))
    rows += [SEPARATOR, ["= all", _giga(released), _giga(simplified)]]
    table = format_table(["multiply-accumulates of a step, one row (G)", "released", "simplified"], rows)
    tera = [
        tera_flops(count, rows=d.rows, steps=d.steps) for count in (d.summary.released, d.summary.simplified)
    ]
    return (
        f"{table}\n{d.height}×{d.width}, {d.text_tokens} text tokens. "
        f"A picture of {d.steps} steps of {d.rows} row{'s' * (d.rows > 1)}: "
        f"{tera[0]:.1f} TFLOP released, {tera[1]:.1f} simplified ({simplified / released - 1:+.1%})."
    )


def _giga(count: int) -> str:
    return f"{count / 1e9:,.2f}"
